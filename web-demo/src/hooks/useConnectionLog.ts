/** What happened to the connection lately, in words. */
import { type ConnectionState, RealtimeError } from "@osbackend/realtime";
import { useEffect, useReducer } from "react";
import { formatDuration } from "../lib/format.ts";
import { useLive } from "./useLive.ts";

export interface LogEntry {
  key: number;
  t: number;
  tone: "good" | "warn" | "bad" | "idle";
  text: string;
}

type Entry = Omit<LogEntry, "key" | "t">;

const KEEP = 5;

function entryOf(state: ConnectionState): Entry | null {
  switch (state.status) {
    case "connected":
      if (!state.resumed) return { tone: "good", text: "Connected, new session" };
      return {
        tone: "good",
        text:
          state.downtimeMs === undefined
            ? "Session resumed"
            : `Session resumed after ${formatDuration(state.downtimeMs)}`,
      };
    case "reconnecting": {
      const why = state.code === undefined ? state.reason : `${state.code} ${state.reason}`;
      return { tone: "warn", text: `Lost: ${why}` };
    }
    case "closed":
      return { tone: "bad", text: `Closed: ${state.reason}` };
    case "connecting":
      // Further attempts are what "Lost" already announced.
      return state.attempt > 1 ? null : { tone: "idle", text: "Connecting" };
    case "idle":
      return null;
  }
}

function withNews(log: readonly LogEntry[], news: ConnectionState | RealtimeError): readonly LogEntry[] {
  const entry: Entry | null =
    news instanceof RealtimeError ? { tone: "bad", text: `${news.code}: ${news.message}` } : entryOf(news);
  if (!entry || log[0]?.text === entry.text) return log;
  return [{ ...entry, key: (log[0]?.key ?? 0) + 1, t: Date.now() }, ...log].slice(0, KEEP);
}

export function useConnectionLog(): readonly LogEntry[] {
  const { service, state } = useLive();
  const [log, add] = useReducer(withNews, state, (first) => withNews([], first));
  useEffect(() => service.on("state", add), [service]);
  useEffect(() => service.on("error", add), [service]);
  return log;
}
