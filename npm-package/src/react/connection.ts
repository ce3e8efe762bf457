/** Keeps a client connected for as long as a component that wants it is mounted. */
import { useEffect, useRef, useState } from "react";
import type { RealtimeClient } from "../client.js";
import type { ClientOptions, TokenSource } from "../types.js";
import { GRACE_MS } from "./grace.js";

interface Holders {
  count: number;
  /** Whether a hook opened the connection; what the application opened itself stays open. */
  opened: boolean;
  closing: ReturnType<typeof setTimeout> | undefined;
}

const holdersOf = new WeakMap<RealtimeClient, Holders>();

function hold(client: RealtimeClient): () => void {
  let holders = holdersOf.get(client);
  if (holders === undefined) {
    holders = { count: 0, opened: false, closing: undefined };
    holdersOf.set(client, holders);
  }
  const all = holders;
  clearTimeout(all.closing);
  all.count += 1;
  if (client.state.status === "idle" || client.state.status === "closed") all.opened = true;
  return () => {
    all.count -= 1;
    if (all.count > 0 || !all.opened) return;
    all.closing = setTimeout(() => {
      all.opened = false;
      client.disconnect();
    }, GRACE_MS);
  };
}

/**
 * Connects on mount and whenever the token or the endpoint changes; undefined waits. A provider function
 * may be a new one at each render: only the newest is asked. It is no reason to connect, or a connection
 * that is closed for good would come back with every render, and each state of it renders again.
 */
export function useConnection(
  client: RealtimeClient,
  token: TokenSource | undefined,
  options?: ClientOptions,
): void {
  const wanted = token !== undefined;
  useEffect(() => (wanted ? hold(client) : undefined), [client, wanted]);
  const newest = useRef(token);
  useEffect(() => {
    newest.current = token;
  }, [token]);
  const [provider] = useState(() => () => {
    const source = newest.current;
    return typeof source === "function" ? source() : source;
  });
  const source = typeof token === "function" ? provider : token;
  const url = options?.url?.toString();
  // biome-ignore lint/correctness/useExhaustiveDependencies: options are usually a new object at each render; their url decides
  useEffect(() => {
    // The state tells of a failure; there is nobody here to catch it.
    if (source !== undefined) client.connect(source, options).catch(() => {});
  }, [client, source, url]);
}
