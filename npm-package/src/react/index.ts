/** The entry of the React hooks. */
"use client"; // For Next.js: what imports this needs no directive of its own.

export { useRealtimeClient } from "./context.js";
export { createHooks, type Hooks } from "./create-hooks.js";
export type { NewestEvent, NewestEvents, NewestStatus } from "./newest.js";
export { RealtimeProvider, type RealtimeProviderProps } from "./provider.js";
export { useConnectionState } from "./use-connection-state.js";
export { type UseEvent, useEvent } from "./use-event.js";
export { usePresence } from "./use-presence.js";
export {
  type RoomStateOptions,
  type UnknownEvent,
  type UseRoomState,
  useRoomState,
} from "./use-room-state.js";
export { useWebSocket, type WebSocketResult } from "./use-websocket.js";
export { type MetricsByName, type MetricsStatus, useWebSocketMetrics } from "./use-websocket-metrics.js";
export { type RoomOptions, useWebSocketRoom } from "./use-websocket-room.js";
