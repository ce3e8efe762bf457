/** The hook `usePresence`. */
import { useCallback, useMemo, useSyncExternalStore } from "react";
import { NOBODY, type RoomPresence } from "../presence.js";
import { useRealtimeClient } from "./context.js";
import { onceAFrame } from "./frame.js";
import { useMembership } from "./membership.js";

/**
 * Joins a room while mounted (null: not now) and gives who is in it: `users`, `userCount`, `anonymous`, and
 * `loading` until the server has answered for the present membership. A reconnect of others makes no change.
 */
export function usePresence(room: string | null | undefined): RoomPresence {
  const client = useRealtimeClient();
  useMembership(room);
  const subscribe = useMemo(
    () => onceAFrame((changed) => (room == null ? () => {} : client.presence.watch(room, changed))),
    [client, room],
  );
  const read = useCallback(() => (room == null ? NOBODY : client.presence.get(room)), [client, room]);
  return useSyncExternalStore(subscribe, read, () => NOBODY);
}
