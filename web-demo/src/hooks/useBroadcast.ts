/** The newest broadcast of an administrator, until it is dismissed. */
import { useWebSocketRoom } from "@osbackend/realtime/react";
import { useCallback, useState } from "react";
import { BROADCAST } from "../lib/rooms.ts";

export type Level = "info" | "success" | "warning";
export const LEVELS: readonly Level[] = ["info", "success", "warning"];

export interface Broadcast {
  eventId: string;
  message: string;
  level: Level;
  t: number;
}

export function useBroadcast(): { broadcast: Broadcast | null; dismiss: () => void } {
  const [broadcast, setBroadcast] = useState<Broadcast | null>(null);
  useWebSocketRoom(BROADCAST, (event) => {
    if (event.type !== "admin_broadcast") return;
    const { message, level } = event.data;
    if (typeof message !== "string" || message === "") return;
    const known = LEVELS.find((other) => other === level) ?? "info";
    setBroadcast({ eventId: event.eventId, message, level: known, t: Date.parse(event.timestamp) });
  });
  const dismiss = useCallback(() => setBroadcast(null), []);
  return { broadcast, dismiss };
}
