/** What happened to the connection lately, in words. */
import { type ConnectionState, RealtimeError } from "@osbackend/realtime";
import { useCallback, useEffect, useReducer } from "react";
import { formatDuration } from "../lib/format.ts";
import { useLive } from "./useLive.ts";

export interface LogEntry {
  key: number;
  t: number;
  tone: "good" | "warn" | "bad" | "idle";
  text: string;
}

/** A line before it is in the log. */
export type Entry = Omit<LogEntry, "key" | "t">;

/** What the log hears of; an entry is something that the visitor did. */
type News = ConnectionState | RealtimeError | { note: Entry };

const KEEP = 7;

interface Log {
  /** Newest first. */
  entries: readonly LogEntry[];
  /** Since when there is no connection, as this page saw it; `null` while there is one. */
  lostAt: number | null;
}

function entryOf(news: News, awayMs: number | null): Entry | null {
  if ("note" in news) return news.note;
  if (news instanceof RealtimeError) return { tone: "bad", text: `${news.code}: ${news.message}` };
  switch (news.status) {
    case "connected": {
      const session = news.resumed ? "Session resumed" : "Connected, new session";
      const text = awayMs === null ? session : `${session} after ${formatDuration(awayMs)}`;
      return { tone: "good", text };
    }
    case "reconnecting": {
      const why = news.code === undefined ? news.reason : `${news.code} ${news.reason}`;
      const wait = formatDuration(news.retryAtMs - Date.now());
      const text = awayMs === null ? `Lost: ${why}; trying in ${wait}` : `No answer yet; again in ${wait}`;
      return { tone: "warn", text };
    }
    case "closed":
      return { tone: "bad", text: `Closed: ${news.reason}` };
    case "connecting":
      // Further attempts are announced before they are made.
      return news.attempt > 1 ? null : { tone: "idle", text: "Connecting" };
    case "idle":
      return null;
  }
}

function lostSince(lostAt: number | null, news: News, now: number): number | null {
  if ("note" in news || news instanceof RealtimeError || news.status === "connecting") return lostAt;
  return news.status === "reconnecting" ? (lostAt ?? now) : null;
}

function withNews({ entries, lostAt }: Log, news: News): Log {
  const now = Date.now();
  const entry = entryOf(news, lostAt === null ? null : now - lostAt);
  const next = lostSince(lostAt, news, now);
  if (!entry || entries[0]?.text === entry.text) return { entries, lostAt: next };
  const key = (entries[0]?.key ?? 0) + 1;
  return { entries: [{ ...entry, key, t: now }, ...entries].slice(0, KEEP), lostAt: next };
}

const NOTHING: Log = { entries: [], lostAt: null };

export function useConnectionLog(): { log: readonly LogEntry[]; note: (entry: Entry) => void } {
  const { service, state } = useLive();
  const [log, add] = useReducer(withNews, state, (first) => withNews(NOTHING, first));
  useEffect(() => service.on("state", add), [service]);
  useEffect(() => service.on("error", add), [service]);
  const note = useCallback((entry: Entry) => add({ note: entry }), []);
  return { log: log.entries, note };
}
