/** The hook `useWebSocketRoom`. */
import { useCallback, useEffect, useRef, useSyncExternalStore } from "react";
import type { RealtimeEvent } from "../events.js";
import type { RoomState } from "../types.js";
import { useRealtimeClient } from "./context.js";
import { GRACE_MS } from "./grace.js";

/** How the room is joined. */
export interface RoomOptions {
  /** Whether the newest event of each key is wanted at once (§5). Default true. */
  snapshot?: boolean;
}

/**
 * Joins a room while mounted (null: not now) and hands each of its events to `handler`, which may be a new
 * function at each render. Gives back how the room stands, undefined before it was asked for.
 */
export function useWebSocketRoom(
  room: string | null | undefined,
  handler?: (event: RealtimeEvent) => void,
  { snapshot = true }: RoomOptions = {},
): RoomState | undefined {
  const client = useRealtimeClient();
  const newest = useRef(handler);
  useEffect(() => {
    newest.current = handler;
  }, [handler]);
  useEffect(() => {
    if (room == null) return;
    const handle = client.joinRoom(room, { snapshot });
    const off = handle.on("*", (event) => newest.current?.(event));
    return () => {
      off();
      setTimeout(() => handle.leave(), GRACE_MS);
    };
  }, [client, room, snapshot]);
  const state = useCallback(() => (room == null ? undefined : client.roomState(room)), [client, room]);
  return useSyncExternalStore(client.subscribe, state, () => undefined);
}
