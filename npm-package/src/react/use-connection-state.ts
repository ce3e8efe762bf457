/** The hook `useConnectionState`. */
import { useSyncExternalStore } from "react";
import type { ConnectionState } from "../types.js";
import { useRealtimeClient } from "./context.js";

const ON_SERVER: ConnectionState = { status: "idle" };

/** Where the connection is; renders again when that changes. */
export function useConnectionState(): ConnectionState;
/** What `select` takes of it, a text or a number as `(state) => state.status`; renders again when that changes. */
export function useConnectionState<T>(select: (state: ConnectionState) => T): T;
export function useConnectionState(select = (state: ConnectionState): unknown => state): unknown {
  const client = useRealtimeClient();
  return useSyncExternalStore(
    client.subscribe,
    () => select(client.state),
    () => select(ON_SERVER),
  );
}
