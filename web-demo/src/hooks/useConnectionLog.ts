/** What happened to the connection lately, in words: the log of `lib/connection-log.ts`, fed by the client. */
import { useCallback, useEffect, useReducer } from "react";
import { type Entry, type Log, type LogEntry, type News, NOTHING, withNews } from "../lib/connection-log.ts";
import { useLive } from "./useLive.ts";

const reduce = (log: Log, news: News): Log => withNews(log, news, Date.now());

export function useConnectionLog(): { log: readonly LogEntry[]; note: (entry: Entry) => void } {
  const { service, state } = useLive();
  const [log, add] = useReducer(reduce, state, (first) => reduce(NOTHING, { state: first }));
  useEffect(() => service.on("state", (state) => add({ state })), [service]);
  useEffect(() => service.on("error", (error) => add({ error })), [service]);
  const note = useCallback((entry: Entry) => add({ note: entry }), []);
  return { log: log.entries, note };
}
