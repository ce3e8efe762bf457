/** What arrives, room by room, renewed each second. */
import { useState, useSyncExternalStore } from "react";
import { type Activity, ActivityMeter } from "../lib/activity.ts";

export function useActivity(): { activity: Activity; meter: ActivityMeter } {
  const [meter] = useState(() => new ActivityMeter());
  return { activity: useSyncExternalStore(meter.subscribe, meter.picture), meter };
}
