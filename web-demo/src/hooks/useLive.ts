/** The page's one connection and where it stands. */
import type { ConnectionState, RealtimeClient } from "@osbackend/realtime";
import { useConnectionState, useRealtimeClient } from "@osbackend/realtime/react";

export interface Live {
  service: RealtimeClient;
  state: ConnectionState;
}

export function useLive(): Live {
  return { service: useRealtimeClient(), state: useConnectionState() };
}
