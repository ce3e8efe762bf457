/** What happened to the connection lately, in words: a reducer over states, errors and the visitor's own actions. Pure. */
import type { ConnectionState } from "@osbackend/realtime";
import { formatDuration } from "./format.ts";

export interface LogEntry {
  key: number;
  t: number;
  tone: "good" | "warn" | "bad" | "idle";
  text: string;
  /** One line for all attempts of an outage: it is rewritten in place. */
  attempts?: number;
}

/** A line before the log has it. */
export type Entry = Pick<LogEntry, "tone" | "text">;

/** An error of the SDK. */
export interface LoggedError {
  code: string;
  message: string;
}

/** The log hears of states, of errors, and of what the visitor did. */
export type News = { state: ConnectionState } | { error: LoggedError } | { note: Entry };

export interface Log {
  /** Newest first. */
  entries: readonly LogEntry[];
  /** Since when this page has no connection; `null` while it has one. */
  lostAt: number | null;
}

/** As many lines as the panel shows. One outage takes four, however many attempts it has. */
export const KEEP = 5;

export const NOTHING: Log = { entries: [], lostAt: null };

/** The log after `news`, which came at `now` (milliseconds since 1970). */
export function withNews(log: Log, news: News, now: number): Log {
  if ("note" in news) return withEntry(log, news.note, now);
  if ("error" in news) return withError(log, news.error, now);
  return withState(log, news.state, now);
}

function withState(log: Log, state: ConnectionState, now: number): Log {
  switch (state.status) {
    case "idle":
      return log;
    case "connecting":
      // While the connection is away, the line about the attempts tells of it.
      return log.lostAt === null && state.attempt <= 1
        ? withEntry(log, { tone: "idle", text: "Connecting" }, now)
        : log;
    case "connected": {
      const session = state.resumed ? "Session resumed" : "Connected, new session";
      const text = log.lostAt === null ? session : `${session} after ${formatDuration(now - log.lostAt)}`;
      return { ...withEntry(log, { tone: "good", text }, now), lostAt: null };
    }
    case "reconnecting": {
      // Only a token that is a text, which this page doesn't have, is waited for without a time.
      const wait = formatDuration(Math.max(0, (state.retryAtMs ?? now) - now));
      if (log.lostAt !== null) return withAttempt(log, `again in ${wait}`, now);
      const why =
        state.message ?? (state.code === undefined ? state.reason : `${state.code} ${state.reason}`);
      const text = `Lost: ${why}; trying in ${wait}`;
      return { ...withEntry(log, { tone: "warn", text }, now), lostAt: now };
    }
    case "closed":
      return { ...withEntry(log, closedEntry(state.reason), now), lostAt: null };
  }
}

/** Only an end that the visitor did not ask for is an alarm. */
function closedEntry(reason: string): Entry {
  return reason === "disconnected"
    ? { tone: "idle", text: "Disconnected" }
    : { tone: "bad", text: `Closed: ${reason}` };
}

/** While the connection is away, an error only says why an attempt failed: the line of the attempts stands for it. */
function withError(log: Log, { code, message }: LoggedError, now: number): Log {
  if (log.lostAt !== null) return log;
  return withEntry(log, { tone: "bad", text: `${code}: ${message}` }, now);
}

function withAttempt({ entries, lostAt }: Log, next: string, now: number): Log {
  const index = entries.findIndex(({ attempts, t }) => attempts !== undefined && t >= (lostAt ?? now));
  const failed = (entries[index]?.attempts ?? 0) + 1;
  const text = `No answer yet, ${failed === 1 ? "1 attempt" : `${failed} attempts`}; ${next}`;
  if (index < 0) return withEntry({ entries, lostAt }, { tone: "warn", text }, now, failed);
  return {
    entries: entries.map((entry, at) => (at === index ? { ...entry, text, attempts: failed } : entry)),
    lostAt,
  };
}

function withEntry({ entries, lostAt }: Log, entry: Entry, now: number, attempts?: number): Log {
  if (entries[0]?.text === entry.text) return { entries, lostAt };
  const key = (entries[0]?.key ?? 0) + 1;
  const added: LogEntry = { ...entry, key, t: now, ...(attempts !== undefined && { attempts }) };
  return { entries: [added, ...entries].slice(0, KEEP), lostAt };
}
