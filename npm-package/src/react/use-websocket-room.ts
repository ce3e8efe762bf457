/** The hook `useWebSocketRoom`. */
import { useCallback, useEffect, useRef, useSyncExternalStore } from "react";
import type { RealtimeClient } from "../client.js";
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
 * function at each render. Where the room was joined before, by another component, what its snapshot would be
 * now comes at once. Gives back how the room stands, undefined before it was asked for.
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
  const told = useRef<{ client: RealtimeClient; room: string }>(undefined);
  useEffect(() => {
    if (room == null) {
      told.current = undefined;
      return;
    }
    const handle = client.joinRoom(room, { snapshot });
    const call = (event: RealtimeEvent) => newest.current?.(event);
    const off = handle.on("*", call);
    // StrictMode does this twice; once is enough.
    const again = told.current?.client === client && told.current.room === room;
    told.current = { client, room };
    if (snapshot && !again) client.replay(room, call);
    return () => {
      off();
      setTimeout(() => handle.leave(), GRACE_MS);
    };
  }, [client, room, snapshot]);
  const state = useCallback(() => (room == null ? undefined : client.roomState(room)), [client, room]);
  return useSyncExternalStore(client.subscribe, state, () => undefined);
}
