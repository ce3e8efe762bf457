/** A second client, with the administrator's token, that connects when something is first sent. */
import { createClient, type RealtimeClient } from "@osbackend/realtime";
import { useCallback, useEffect, useRef } from "react";
import { BROADCAST } from "../lib/rooms.ts";
import type { Level } from "./useBroadcast.ts";

export type SendBroadcast = (message: string, level: Level) => Promise<void>;

/** Sends a broadcast to everyone; rejects with the server's reason when it is refused. */
export function useAdmin(token: string, url: string | undefined): SendBroadcast {
  const admin = useRef<RealtimeClient | null>(null);

  useEffect(
    () => () => {
      admin.current?.disconnect();
      admin.current = null;
    },
    [],
  );

  return useCallback(
    async (message, level) => {
      if (!admin.current) {
        const client = createClient();
        await client.connect(token, url ? { url } : {});
        admin.current = client;
      }
      await admin.current.emit(BROADCAST, "admin_broadcast", { message, level });
    },
    [token, url],
  );
}
