/** The entry: the default service, `createClient` and the types. */
import { RealtimeClient } from "./client.js";
import type { ClientOptions } from "./types.js";
import { loadCore } from "./wasm-loader.js";

/** A client of its own. Nothing is loaded or opened before its `connect`. */
export function createClient(options: ClientOptions = {}): RealtimeClient {
  return new RealtimeClient(options, loadCore);
}

/** The client that most applications need one of. */
const service: RealtimeClient = /* @__PURE__ */ createClient();
export default service;

export type { RealtimeClient } from "./client.js";
export type { LocalErrorCode, RealtimeErrorCode, RealtimeErrorDetails } from "./errors.js";
export { RealtimeError } from "./errors.js";
// `export *`, so that augmenting "@osbackend/realtime" reaches the interface.
export type * from "./events.js";
export * from "./generated/protocol.js";
export type { Metric, MetricStore } from "./metrics.js";
export type { PresenceStore, RoomPresence } from "./presence.js";
export type { Emit, Request, RequestOptions } from "./requests.js";
export type {
  PublishOptions,
  RoomEmit,
  RoomEventName,
  RoomHandle,
  RoomListener,
  RoomRemove,
  RoomSubscribe,
  RoomTells,
} from "./room.js";
export type * from "./types.js";
