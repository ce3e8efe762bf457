/** `@osbackend/realtime/testing`: a server in memory that speaks the protocol, for the tests of applications. */
export type { FakeConnection } from "./connection.js";
export type { FakeServerOptions, FakeUser, ReceivedFrame } from "./server.js";
export { createFakeServer, FakeServer } from "./server.js";
