/** The connection's outages as this page lives through them, with what each room got back. */
import { useEffect, useState, useSyncExternalStore } from "react";
import { type Outage, OutageLog } from "../lib/outages.ts";
import { useLive } from "./useLive.ts";

export interface UseOutages {
  outage: Outage | undefined;
  log: OutageLog;
}

export function useOutages(): UseOutages {
  const { service } = useLive();
  const [log] = useState(() => new OutageLog());

  useEffect(() => {
    const back = (resumed: boolean) => (greeting: { rooms: Parameters<OutageLog["back"]>[0] }) =>
      log.back(greeting.rooms, resumed, Date.now());
    const offs = [
      service.on("state", (state) => {
        if (state.status !== "reconnecting") return;
        const why = state.code === undefined ? state.reason : `${state.code} ${state.reason}`;
        log.lost(why, Date.now());
      }),
      service.on("reconnected", back(true)),
      service.on("connection_established", back(false)),
      service.on("room", ({ room, status, recovered, offset }) => {
        if (status === "joined" && !recovered) log.joined(room, offset);
      }),
    ];
    return () => {
      for (const off of offs) off();
    };
  }, [service, log]);

  return { outage: useSyncExternalStore(log.subscribe, log.outage), log };
}
