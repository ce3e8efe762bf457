/** The hook `useConnectionState`. */
import { useSyncExternalStore } from "react";
import type { ConnectionState } from "../types.js";
import { useRealtimeClient } from "./context.js";

const ON_SERVER: ConnectionState = { status: "idle" };

/** Where the connection is; renders again when that changes. */
export function useConnectionState(): ConnectionState {
  const client = useRealtimeClient();
  return useSyncExternalStore(
    client.subscribe,
    () => client.state,
    () => ON_SERVER,
  );
}
