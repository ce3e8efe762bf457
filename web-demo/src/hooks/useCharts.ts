/** Every metric of the page: the stored past first, then live, without a seam. */
import { useWebSocketRoom } from "@osbackend/realtime/react";
import { useEffect, useState, useSyncExternalStore } from "react";
import { type Charts, MetricCharts } from "../lib/charts.ts";
import type { MetricName } from "../lib/metrics.ts";
import type { Range } from "../lib/ranges.ts";
import { OVERVIEW } from "../lib/rooms.ts";
import { useLive } from "./useLive.ts";

export interface UseCharts {
  charts: Charts;
  /** Asks for the stored part again, after an error. */
  retry: () => void;
}

export function useCharts(shown: MetricName, range: Range): UseCharts {
  const { service } = useLive();
  const [charts] = useState(() => new MetricCharts((query) => service.request("metrics:get", query)));
  // Holds the room while mounted, also between StrictMode's two mounts.
  useWebSocketRoom(OVERVIEW);

  useEffect(() => {
    const room = service.joinRoom(OVERVIEW);
    // By the room itself: what the hook replays to a late component must not count twice.
    const offs = [
      room.on("*", (event) => charts.take(event)),
      service.on("room", (state) => {
        if (state.room === OVERVIEW && state.status === "joined") charts.joined(state);
      }),
    ];
    const state = service.roomState(OVERVIEW);
    if (state?.status === "joined") charts.joined({ recovered: false });
    return () => {
      for (const off of offs) off();
      room.leave();
    };
  }, [service, charts]);

  useEffect(() => charts.show(shown, range), [charts, shown, range]);
  const picture = useSyncExternalStore(charts.subscribe, charts.picture);
  return { charts: picture, retry: () => charts.refresh() };
}
