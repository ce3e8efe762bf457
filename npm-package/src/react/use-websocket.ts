/** The hook `useWebSocket`. */
import type { RealtimeClient } from "../client.js";
import type { ClientOptions, ConnectionState, TokenSource } from "../types.js";
import { useConnection } from "./connection.js";
import { useRealtimeClient } from "./context.js";
import { useConnectionState } from "./use-connection-state.js";

/** What `useWebSocket` gives. */
export interface WebSocketResult<E = unknown> {
  connected: boolean;
  /** Connected, and the server knows the user. */
  authenticated: boolean;
  state: ConnectionState;
  service: RealtimeClient<E>;
}

/**
 * Connects while mounted. `token`: a JWT, or a function that fetches one, or null for none; undefined
 * waits until there is one. Several components may call it: there is one connection.
 */
export function useWebSocket<E = unknown>(
  token?: TokenSource,
  options?: ClientOptions<E>,
): WebSocketResult<E> {
  const service = useRealtimeClient<E>();
  useConnection(service as RealtimeClient, token, options as ClientOptions);
  const state = useConnectionState();
  const connected = state.status === "connected";
  return { connected, authenticated: connected && state.authenticated, state, service };
}
