/** Who looks at the dashboard now: the members of its room. */
import type { RoomPresence } from "@osbackend/realtime";
import { usePresence } from "@osbackend/realtime/react";
import { useEffect, useMemo, useRef, useState } from "react";
import { OVERVIEW } from "../lib/rooms.ts";
import { newsOf, type Viewer, viewersOf } from "../lib/viewers.ts";
import { useLive } from "./useLive.ts";

/** Joins and leaves of people are told; how many connections each has is asked for (PROTOCOL.md, 5). */
const COUNT_EVERY_MS = 5000;

export interface Viewers {
  presence: RoomPresence;
  viewers: readonly Viewer[];
  /** Who came or went last, to be read out. */
  news: string;
  /** The list is kept up: without a connection it is the past. */
  known: boolean;
}

export function useViewers(): Viewers {
  const { service, state } = useLive();
  const presence = usePresence(OVERVIEW);
  const connected = state.status === "connected";
  const me = connected ? state.userId : undefined;
  const known = useRef<string | undefined>(undefined);
  if (me !== undefined) known.current = me;
  const viewers = useMemo(() => viewersOf(presence, me ?? known.current), [presence, me]);

  useEffect(() => {
    if (!connected) return;
    const timer = setInterval(() => {
      if (!document.hidden) service.presence.refresh(OVERVIEW);
    }, COUNT_EVERY_MS);
    return () => clearInterval(timer);
  }, [service, connected]);

  const before = useRef<readonly Viewer[] | undefined>(undefined);
  const [news, setNews] = useState("");
  useEffect(() => {
    if (presence.loading) return;
    // Who was here before this page is no news.
    const told = before.current && newsOf(before.current, viewers);
    before.current = viewers;
    if (told) setNews(told);
  }, [presence.loading, viewers]);

  return { presence, viewers, news, known: connected };
}
