/** The entries that the other file has no use for: each has its types under each way to resolve modules. */
export type * as devtools from "@osbackend/realtime/devtools";
export type * as server from "@osbackend/realtime/server";
export { default as backend } from "@osbackend/realtime/server";
export { fromSupabase } from "@osbackend/realtime/supabase";
export { createFakeServer } from "@osbackend/realtime/testing";
