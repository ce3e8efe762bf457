/** Which client the hooks below a provider use. */
import { createContext, useContext } from "react";
import type { RealtimeClient } from "../client.js";
import service from "../index.js";

/** The default service, where no provider says otherwise. */
export const ClientContext = createContext<RealtimeClient>(service);

/** The client of the nearest provider, or the default service; `E` are its events, which a context can't know. */
export function useRealtimeClient<E = unknown>(): RealtimeClient<E> {
  return useContext(ClientContext) as RealtimeClient<E>;
}
