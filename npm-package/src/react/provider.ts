/** Gives a part of the page a client of its own. */
import { createElement, type ReactElement, type ReactNode, useState } from "react";
import type { RealtimeClient } from "../client.js";
import { createClient } from "../index.js";
import type { ClientOptions, TokenSource } from "../types.js";
import { useConnection } from "./connection.js";
import { ClientContext, useRealtimeClient } from "./context.js";

/** What a provider takes. */
export interface RealtimeProviderProps {
  /** A client of yours. Left out: one made from `options`, or without those the one from above. */
  client?: RealtimeClient;
  /** Options for a client of this provider's own; read at its first render. */
  options?: ClientOptions;
  /** Connects with this while mounted; left out: `useWebSocket` or you connect. */
  token?: TokenSource;
  children?: ReactNode;
}

/** Every hook below uses this client. */
export function RealtimeProvider({ client, options, token, children }: RealtimeProviderProps): ReactElement {
  const above = useRealtimeClient();
  const [own] = useState(() => (options === undefined ? undefined : createClient(options)));
  const used = client ?? own ?? above;
  useConnection(used, token);
  return createElement(ClientContext.Provider, { value: used }, children);
}
