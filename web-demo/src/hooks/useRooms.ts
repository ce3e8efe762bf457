/** Which rooms the page is in: the dashboard's own, the user's, and those that the visitor joins by name. */
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { DASHBOARD_ROOMS } from "../lib/rooms.ts";
import { useLive } from "./useLive.ts";

export interface Rooms {
  names: readonly string[];
  /** Those of them that the visitor joined, and so may leave. */
  added: readonly string[];
  /** Why the last join was refused. */
  refusal: string | null;
  join: (room: string) => void;
  leave: (room: string) => void;
}

export function useRooms(): Rooms {
  const { service } = useLive();
  const { rooms } = useSyncExternalStore(service.subscribe, service.getSnapshot);
  const [added, setAdded] = useState<readonly string[]>([]);
  const [refusal, setRefusal] = useState<string | null>(null);

  const leave = useCallback((room: string) => setAdded((all) => all.filter((other) => other !== room)), []);

  const join = useCallback((room: string) => {
    setRefusal(null);
    setAdded((all) => (all.includes(room) || DASHBOARD_ROOMS.includes(room) ? all : [...all, room]));
  }, []);

  useEffect(
    () =>
      service.on("room", ({ room, status, error }) => {
        if (status !== "refused") return;
        setRefusal(`${room}: ${error?.message ?? "refused"} (${error?.code ?? "forbidden"})`);
        leave(room);
      }),
    [service, leave],
  );

  // The server joined the user's own room by itself.
  const own = rooms
    .map(({ room }) => room)
    .filter((room) => room.startsWith("user:") && !added.includes(room));
  return { names: [...DASHBOARD_ROOMS, ...own, ...added], added, refusal, join, leave };
}
