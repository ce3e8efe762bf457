/** The hook `usePresence`. */
import { useCallback, useSyncExternalStore } from "react";
import { NOBODY, type RoomPresence } from "../presence.js";
import { useRealtimeClient } from "./context.js";
import { useWebSocketRoom } from "./use-websocket-room.js";

/**
 * Joins a room while mounted (null: not now) and gives who is in it: `users`, `userCount`, `anonymous`, and
 * `loading` until the server has answered for the present membership. A reconnect of others makes no change.
 */
export function usePresence(room: string | null | undefined): RoomPresence {
  const client = useRealtimeClient();
  useWebSocketRoom(room);
  const subscribe = useCallback(
    (changed: () => void) => (room == null ? () => {} : client.presence.watch(room, changed)),
    [client, room],
  );
  const read = useCallback(() => (room == null ? NOBODY : client.presence.get(room)), [client, room]);
  return useSyncExternalStore(subscribe, read, () => NOBODY);
}
