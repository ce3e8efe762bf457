/** What is told of tokens and of ends: by the state, by "error", and by the console where nobody listens. */
import { expect, onTestFinished, test, vi } from "vitest";
import type { RealtimeError } from "../src/errors.js";
import type { ClientOptions } from "../src/types.js";
import { type FakeCore, fakeClient, settled } from "./fake-core.js";

function jwt(sub: string, exp?: number): string {
  return `h.${btoa(JSON.stringify({ sub, exp })).replace(/=/g, "")}.s`;
}

function listening(options?: ClientOptions) {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const error = vi.spyOn(console, "error").mockImplementation(() => {});
  return { ...fakeClient(options), warn, error };
}

async function begun(made: ReturnType<typeof fakeClient>): Promise<FakeCore> {
  made.loads[0]?.succeed();
  await settled();
  return made.cores[0] as FakeCore;
}

test("the server's own words are in the rejection, the error and on the console", async () => {
  const made = listening();
  const connected = made.client.connect(jwt("ann"));
  const core = await begun(made);
  expect(core.isTokenFixed).toBe(true);
  const message = "the token has expired; get a new one";
  core.tell({ status: "closed", code: 4501, reason: "unauthorized", message });
  await expect(connected).rejects.toMatchObject({ code: "unauthorized", message, closeCode: 4501 });
  expect(made.error.mock.calls).toEqual([[`[osbackend] unauthorized: ${message}`]]);
  const errors: RealtimeError[] = [];
  made.client.on("error", (told) => errors.push(told));
  made.client.connect(jwt("ann")).catch(() => {});
  core.tell({ status: "closed", code: 4501, reason: "unauthorized", message });
  expect(errors).toMatchObject([{ code: "unauthorized", message }]);
  expect(made.error).toHaveBeenCalledOnce();
});

test("a first attempt that fails is told once, with address, cause and what to set", async () => {
  const cause = "can't reach ws://h/ws: connect ECONNREFUSED 127.0.0.1:1";
  for (const [url, hint] of [
    ["ws://h/ws", "ALLOWED_ORIGINS"],
    [undefined, "No url was given"],
  ] as const) {
    vi.stubGlobal("location", { href: "http://localhost:5173/" });
    onTestFinished(() => {
      vi.unstubAllGlobals();
    });
    const made = listening({ url });
    made.client.connect(() => jwt("ann"));
    const core = await begun(made);
    expect(core.isTokenFixed).toBe(false);
    for (const attempt of [2, 3])
      core.tell({ status: "reconnecting", attempt, retryAtMs: 0, code: 1006, reason: cause });
    expect(made.warn).toHaveBeenCalledOnce();
    const [[text]] = made.warn.mock.calls as [[string]];
    expect(text).toContain(`[osbackend] unreachable: ${cause}`);
    expect(text).toContain(hint);
    made.warn.mockRestore();
  }
});

test("a connection that existed and is lost is no failure to connect", async () => {
  const made = listening();
  const core = await made.live("t");
  core.lost();
  expect([made.warn, made.error].map((mock) => mock.mock.calls.length)).toEqual([0, 0]);
});

test("giving up is told as an end, and rejects; disconnect is told to nobody", async () => {
  const made = listening();
  const connected = made.client.connect("t");
  const core = await begun(made);
  const reason = "gave up after the last attempt: can't reach ws://h/ws";
  core.tell({ status: "closed", code: 1006, reason, retryAtMs: 60_000 });
  await expect(connected).rejects.toMatchObject({ code: "gave_up", closeCode: 1006 });
  expect(made.client.state).toMatchObject({ status: "closed", retryAtMs: 60_000 });
  expect(made.error).toHaveBeenCalledOnce();
  expect(made.error.mock.calls[0]?.[0]).toContain("ws://h/ws");
  // It goes on by itself, and with whoever wants something.
  made.client.joinRoom("agent:7");
  expect(core.count("connect")).toBe(2);
  core.connected();
  made.client.disconnect();
  expect(made.error).toHaveBeenCalledOnce();
});

test("what is no JWT from a function is a failed token, told with what to do, and never a token", async () => {
  // Another class than the fake server's, which takes any text.
  const made = listening({ url: "ws://h/ws", WebSocket: class {} });
  const page = "<!doctype html><title>502 Bad Gateway</title>";
  made.client.connect(() => page);
  const core = await begun(made);
  expect(core.calls.at(-1)?.[0]).toBe("tokenFailed");
  expect(made.warn.mock.calls[0]?.[0]).toMatch(/token_failed: .*<!doctype html.*not ok/);
  made.client.connect(() => "opaque-and-perhaps-secret");
  await settled();
  expect(JSON.stringify(made.warn.mock.calls)).not.toContain("secret");
  expect(core.count("setToken")).toBe(0);
});

test("a text that expires: one warning in development, and nothing is sent until there is a newer one", async () => {
  const made = listening();
  const begin = Date.now();
  const clock = vi.spyOn(Date, "now").mockReturnValue(begin);
  // The server's clock is an hour ahead of this one.
  const serverNow = begin + 3_600_000;
  const text = jwt("ann", serverNow / 1000 + 60);
  const connected = made.client.connect(text);
  const core = await begun(made);
  const timestamp = new Date(serverNow).toISOString();
  core.sink.system({ type: "connection_established", data: {}, timestamp });
  core.connected("ann");
  await connected;
  core.sink.system({ type: "token_expiring", data: {}, timestamp });
  core.sink.system({ type: "token_expiring", data: {}, timestamp });
  core.lost();
  core.sink.needToken();
  await settled();
  expect(core.count("setToken")).toBe(2);
  clock.mockReturnValue(begin + 61_000);
  core.sink.needToken();
  await settled();
  expect([core.count("setToken"), core.count("tokenExpired")]).toEqual([2, 1]);
  expect(made.client.state).toMatchObject({ status: "reconnecting", reason: "token_expired" });
  expect(made.warn).toHaveBeenCalledOnce();
  expect(made.warn.mock.calls[0]?.[0]).toMatch(/text, and about to expire.*function/);
  expect(made.error).not.toHaveBeenCalled();
  made.client.connect(jwt("ann", serverNow / 1000 + 3_600));
  expect(core.count("connect")).toBe(2);
  core.sink.needToken();
  await settled();
  expect(core.count("setToken")).toBe(3);
});

test("where nothing warned before, the expiry itself is told", async () => {
  vi.stubEnv("NODE_ENV", "production");
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const made = listening();
  const core = await made.live("t");
  core.sink.system({ type: "token_expiring", data: {}, timestamp: "" });
  expect(made.warn).not.toHaveBeenCalled();
  core.tell({
    status: "reconnecting",
    attempt: 1,
    code: 4001,
    reason: "token_expired",
    message: "expired: …",
  });
  expect(made.error.mock.calls).toEqual([["[osbackend] token_expired: expired: …"]]);
});
