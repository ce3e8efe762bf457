/** Gives a part of the page a client of its own. */
import { createElement, type ReactElement, type ReactNode, useState } from "react";
import type { RealtimeClient } from "../client.js";
import { createClient } from "../index.js";
import type { ClientOptions, TokenSource } from "../types.js";
import { useConnection } from "./connection.js";
import { ClientContext, useRealtimeClient } from "./context.js";

/** What a provider takes. */
export interface RealtimeProviderProps<E = unknown> {
  /** A client of yours. Left out: one made from `options`, or without those the one from above. */
  client?: RealtimeClient<E> | undefined;
  /** Options for a client of this provider's own; read at its first render. */
  options?: ClientOptions<E> | undefined;
  /** Connects with this while mounted; left out: `useWebSocket` or you connect. */
  token?: TokenSource | undefined;
  /**
   * Whose connection it is: your id of the signed-in user. Another one is another session at once, of which nothing of the user
   * before is shown. Give it where `token` is a function.
   */
  user?: string | undefined;
  children?: ReactNode | undefined;
}

/** Every hook below uses this client. */
export function RealtimeProvider<E = unknown>({
  client,
  options,
  token,
  user,
  children,
}: RealtimeProviderProps<E>): ReactElement {
  const above = useRealtimeClient();
  const [own] = useState(() => (options === undefined ? undefined : createClient(options)));
  const used = (client ?? own ?? above) as RealtimeClient;
  // The client's own options: these are to change nothing but the user.
  useConnection(used, token, user === undefined ? undefined : { ...used.options, user });
  return createElement(ClientContext.Provider, { value: used }, children);
}
