/** What every entry gives beside its own `createClient`. */

export type { RealtimeClient } from "./client.js";
export type { LocalErrorCode, RealtimeErrorCode, RealtimeErrorDetails } from "./errors.js";
export { RealtimeError } from "./errors.js";
// `export *`, so that augmenting "@osbackend/realtime" reaches the interface.
export type * from "./events.js";
export * from "./generated/protocol.js";
export type { Metric, MetricStore } from "./metrics.js";
export type { PresenceStore, RoomPresence } from "./presence.js";
export type { Emit, EmitData, EmitName, EmitType, Request, RequestOptions } from "./requests.js";
export type {
  AnyRoom,
  PublishOptions,
  RoomDataOf,
  RoomEmit,
  RoomEventName,
  RoomHandle,
  RoomListener,
  RoomRemove,
  RoomSubscribe,
  RoomTells,
} from "./room.js";
export type * from "./types.js";
export type * from "./validators.js";
