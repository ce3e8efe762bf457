/** The hooks with an application's own events: the same functions, typed. */
import type { ReactElement } from "react";
import type { RealtimeClient } from "../client.js";
import type { RealtimeEvent } from "../events.js";
import type { ClientOptions, RoomState, TokenSource } from "../types.js";
import { useRealtimeClient } from "./context.js";
import { RealtimeProvider, type RealtimeProviderProps } from "./provider.js";
import { type UseEvent, useEvent } from "./use-event.js";
import { type UseRoomState, useRoomState } from "./use-room-state.js";
import { useWebSocket, type WebSocketResult } from "./use-websocket.js";
import { type RoomOptions, useWebSocketRoom } from "./use-websocket-room.js";

/** The provider, and the hooks that events have a part in. */
export interface Hooks<E> {
  /** Every hook below uses the provider's client. */
  RealtimeProvider(props: RealtimeProviderProps<E>): ReactElement;
  /** The provider's client, or the default one. */
  useRealtimeClient(): RealtimeClient<E>;
  /** Connects while mounted. */
  useWebSocket(token?: TokenSource, options?: ClientOptions<E>): WebSocketResult<E>;
  /** Joins a room while mounted, and hands over its events. */
  useWebSocketRoom(
    room: string | null | undefined,
    handler?: (event: RealtimeEvent<E>) => void,
    options?: RoomOptions,
  ): RoomState | undefined;
  useEvent: UseEvent<E>;
  useRoomState: UseRoomState<E>;
}

const HOOKS = { RealtimeProvider, useRealtimeClient, useWebSocket, useWebSocketRoom, useEvent, useRoomState };

/**
 * The hooks for a client with events of its own: `export const { useEvent, useRoomState } = createHooks<MyEvents>()`,
 * once, in a module of yours. They are the hooks of this package: with and without may be mixed.
 */
export function createHooks<E = unknown>(): Hooks<E> {
  return HOOKS as unknown as Hooks<E>;
}
