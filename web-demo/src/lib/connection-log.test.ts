/** An outage of any length leaves its beginning in the log. */
import type { ConnectionState } from "@osbackend/realtime";
import { describe, expect, test } from "vitest";
import { KEEP, type Log, type News, NOTHING, withNews } from "./connection-log.ts";

const T = 1_800_000_000_000;

const away = (attempt: number, now: number): ConnectionState => ({
  status: "reconnecting",
  attempt,
  reason: "connection lost",
  code: 1006,
  retryAtMs: now + 5_000,
});

const connected = (resumed: boolean) => ({ status: "connected", resumed }) as ConnectionState;

/** The log after `news`, one each second. */
function told(news: readonly News[], log: Log = NOTHING): Log {
  return news.reduce((before, each, second) => withNews(before, each, T + second * 1_000), log);
}

const texts = (log: Log) => log.entries.map(({ text }) => text);

describe("the connection's log", () => {
  test("tells of a loss and of the return, newest first", () => {
    const log = told([
      { state: connected(false) },
      { state: away(1, T + 1_000) },
      { state: connected(true) },
    ]);
    expect(texts(log)).toEqual([
      "Session resumed after 1.0 s",
      "Lost: 1006 connection lost; trying in 5.0 s",
      "Connected, new session",
    ]);
  });

  test("keeps the beginning of an outage of a hundred attempts", () => {
    const attempts = Array.from({ length: 100 }, (_, index): News[] => [
      { state: { status: "connecting", attempt: index + 1 } as ConnectionState },
      { error: { code: "token_failed", message: "the server can't be reached" } },
      { state: away(index + 1, T) },
    ]).flat();
    const log = told([
      { state: connected(false) },
      { note: { tone: "idle", text: "You had the server killed, for 2 s" } },
      { state: away(1, T + 2_000) },
      ...attempts,
      { state: connected(true) },
    ]);
    expect(log.entries.length).toBeLessThanOrEqual(KEEP);
    expect(texts(log).slice(1)).toEqual([
      "No answer yet, 100 attempts; again in 0.0 s",
      "Lost: 1006 connection lost; trying in 5.0 s",
      "You had the server killed, for 2 s",
      "Connected, new session",
    ]);
  });

  test("begins another line of attempts with another outage", () => {
    const outage: News[] = [{ state: away(1, T) }, { state: away(2, T) }, { state: connected(true) }];
    const log = told([...outage, ...outage]);
    expect(
      log.entries.filter(({ attempts }) => attempts !== undefined).map(({ attempts }) => attempts),
    ).toEqual([1, 1]);
  });

  test("tells of an error while the connection lives", () => {
    const log = told([
      { state: connected(false) },
      { error: { code: "forbidden", message: "no rule allows this room" } },
    ]);
    expect(texts(log)[0]).toBe("forbidden: no rule allows this room");
  });

  test("takes an end that the visitor asked for as no alarm", () => {
    const end = (reason: string) =>
      told([{ state: { status: "closed", reason } as ConnectionState }]).entries[0]?.tone;
    expect(end("disconnected")).toBe("idle");
    expect(end("unauthorized")).toBe("bad");
  });
});
