/** What happened to the connection lately, in words. */
import type { ConnectionState } from "@osbackend/realtime";
import { useEffect, useReducer } from "react";
import { formatDuration } from "../lib/format.ts";
import { useLive } from "./useLive.ts";

export interface LogEntry {
  key: number;
  t: number;
  tone: "good" | "warn" | "bad" | "idle";
  text: string;
}

const KEEP = 5;

function entryOf(state: ConnectionState): Omit<LogEntry, "key" | "t"> | null {
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
      return {
        tone: "idle",
        text: state.attempt > 1 ? `Connecting, attempt ${state.attempt}` : "Connecting",
      };
    case "idle":
      return null;
  }
}

function withState(log: readonly LogEntry[], state: ConnectionState): readonly LogEntry[] {
  const entry = entryOf(state);
  if (!entry || log[0]?.text === entry.text) return log;
  return [{ ...entry, key: (log[0]?.key ?? 0) + 1, t: Date.now() }, ...log].slice(0, KEEP);
}

export function useConnectionLog(): readonly LogEntry[] {
  const { service, state } = useLive();
  const [log, add] = useReducer(withState, state, (first) => withState([], first));
  useEffect(() => service.on("state", (next) => add(next)), [service]);
  return log;
}
