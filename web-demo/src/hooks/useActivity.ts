/** What arrives, room by room, renewed each second. */
import { useEffect, useState, useSyncExternalStore } from "react";
import { type Activity, ActivityMeter } from "../lib/activity.ts";
import { useLive } from "./useLive.ts";

export function useActivity(): { activity: Activity; meter: ActivityMeter } {
  const { service } = useLive();
  const [meter] = useState(() => new ActivityMeter());

  useEffect(
    () =>
      service.on("room", ({ room, status, recovered, offset }) => {
        if (status === "joined" && !recovered) meter.restart(room, offset);
      }),
    [service, meter],
  );

  return { activity: useSyncExternalStore(meter.subscribe, meter.picture), meter };
}
