/** The hook `useWebSocketRoom`. */
import { useCallback, useSyncExternalStore } from "react";
import type { Call } from "../emitter.js";
import type { RealtimeEvent } from "../events.js";
import type { RoomState } from "../types.js";
import { useRealtimeClient } from "./context.js";
import { useMembership } from "./membership.js";

/** How the room is joined. */
export interface RoomOptions {
  /** Whether the newest event of each key is wanted at once (§5). Default true. */
  snapshot?: boolean | undefined;
}

/**
 * Joins a room while mounted (null: not now) and hands each of its events to `handler`, which may be a new
 * function at each render. Where the room was joined before, by another component, what its snapshot would be
 * now comes at once. Gives back how the room stands, undefined before it was asked for.
 */
export function useWebSocketRoom<E = unknown>(
  room: string | null | undefined,
  handler?: (event: RealtimeEvent<E>) => void,
  { snapshot = true }: RoomOptions = {},
): RoomState | undefined {
  const client = useRealtimeClient();
  useMembership(room, handler && "*", handler as Call | undefined, snapshot);
  const state = useCallback(() => (room == null ? undefined : client.roomState(room)), [client, room]);
  return useSyncExternalStore(client.subscribe, state, () => undefined);
}
