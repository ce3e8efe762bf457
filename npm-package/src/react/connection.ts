/** Keeps a client connected for as long as a component that wants it is mounted. */
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import type { RealtimeClient } from "../client.js";
import type { ClientOptions, TokenSource } from "../types.js";
import { GRACE_MS } from "./grace.js";
import { Rechecks } from "./rechecks.js";

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

/** Before the effects of components within, so that they join no room in the name of the user before. On a server there are no effects. */
// `in` asks whether it is there, and touches nothing. React 18 warns of layout effects on a server.
const useEarlyEffect = "document" in globalThis ? useLayoutEffect : useEffect;

/**
 * Connects on mount and whenever the token, the endpoint or `user` changes; an undefined token waits. Of a provider function only the
 * newest is asked. One that is new at each render is no reason to connect, or a connection that is closed for good would come
 * back with every render, and each state of it renders again. With `user` it is no reason to ask either; without, it may be
 * another user's, and is asked, not too often.
 */
export function useConnection(
  client: RealtimeClient,
  token: TokenSource | undefined,
  options?: ClientOptions,
): void {
  const wanted = token !== undefined;
  useEarlyEffect(() => (wanted ? hold(client) : undefined), [client, wanted]);
  const newest = useRef(token);
  const [provider] = useState(() => () => {
    const source = newest.current;
    return typeof source === "function" ? source() : source;
  });
  const [rechecks] = useState(() => new Rechecks());
  const source = typeof token === "function" ? provider : token;
  const url = options?.url?.toString();
  const user = options?.user;
  useEarlyEffect(() => {
    const before = newest.current;
    newest.current = token;
    if (user === undefined && typeof before === "function" && typeof token === "function" && before !== token)
      rechecks.ask(client);
  }, [client, rechecks, token, user]);
  useEarlyEffect(() => () => rechecks.end(), [rechecks]);
  useEarlyEffect(() => {
    // The state tells of a failure; there is nobody here to catch it.
    if (source !== undefined) client.connect(source, options).catch(() => {});
  }, [client, source, url, user]);
}
