/** Modules that can't be loaded: failed attempts, paced and repeated as those at connecting are. */
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { RealtimeError } from "../src/errors.js";
import type { ConnectionState } from "../src/types.js";
import { fakeClient } from "./fake-core.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Lets every promise that can go on do so, in no time. */
const flushed = () => vi.advanceTimersByTimeAsync(0);

/** A page that can go on line, and be looked at. */
function page() {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  vi.stubGlobal("document", document);
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
  onTestFinished(() => {
    vi.unstubAllGlobals();
  });
  return { window, document };
}

function failing(backoff: object = {}) {
  const made = fakeClient({ url: "ws://h/ws", backoff: { jitter: 0, ...backoff } });
  const errors: RealtimeError[] = [];
  const states: ConnectionState[] = [];
  made.client.on("error", (error) => errors.push(error));
  made.client.on("state", (state) => states.push(state));
  const fail = async (cause: Error = new Error("offline")) => {
    made.loads.at(-1)?.fail(cause);
    await flushed();
  };
  return { ...made, errors, states, fail };
}

test("a load that fails is tried again with backoff, and what was asked meanwhile is done then", async () => {
  const { client, cores, loads, errors, states, fail } = failing();
  const connected = client.connect("t");
  const reply = client.request("custom:ask", {}, { timeoutMs: 60_000 });
  await fail();
  expect(client.state).toEqual({
    status: "reconnecting",
    attempt: 2,
    retryAtMs: Date.now() + 5_000,
    reason: "the client's modules could not be loaded: offline",
  });
  await vi.advanceTimersByTimeAsync(4_999);
  expect(loads).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(loads).toHaveLength(2);
  await fail();
  await vi.advanceTimersByTimeAsync(9_999);
  expect(loads).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(1);
  loads[2]?.succeed();
  await flushed();
  cores[0]?.connected();
  await connected;
  cores[0]?.sink.reply(1, true, { ok: true });
  expect(await reply).toEqual({ ok: true });
  // Told once: the first attempt of a connect failed.
  expect(errors.map(({ code }) => code)).toEqual(["load_failed"]);
  expect(states.map(({ status }) => status)).toEqual([
    "connecting",
    "reconnecting",
    "connecting",
    "reconnecting",
    "connecting",
    "connected",
  ]);
});

test("after the last attempt it rests, says until when, and goes on by itself", async () => {
  const { client, loads, errors, fail } = failing({ attempts: 2, restMs: 60_000 });
  const connected = expect(client.connect("t")).rejects.toMatchObject({ code: "load_failed" });
  await fail();
  await vi.advanceTimersByTimeAsync(5_000);
  await fail();
  await connected;
  expect(client.state).toEqual({
    status: "closed",
    reason: "gave up after the last attempt: the client's modules could not be loaded: offline",
    retryAtMs: Date.now() + 60_000,
  });
  expect(errors).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(client.state).toEqual({ status: "connecting", attempt: 1 });
  expect(loads).toHaveLength(3);
});

test("with restMs 0 only a sign brings it back", async () => {
  const { window } = page();
  const { client, loads, fail } = failing({ attempts: 1, restMs: 0 });
  client.connect("t");
  await fail();
  expect(client.state).not.toHaveProperty("retryAtMs");
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(loads).toHaveLength(1);
  window.dispatchEvent(new Event("online"));
  expect(loads).toHaveLength(2);
});

test.each(["online", "focus", "pageshow", "visibilitychange"])("%s ends the wait", async (name) => {
  const { window, document } = page();
  const { client, loads, fail } = failing();
  client.connect("t");
  await fail();
  document.visibilityState = "hidden";
  window.dispatchEvent(new Event("visibilitychange"));
  expect(loads).toHaveLength(1);
  document.visibilityState = "visible";
  window.dispatchEvent(new Event(name));
  expect(loads).toHaveLength(2);
  // Nobody listens while nothing waits.
  window.dispatchEvent(new Event("online"));
  expect(loads).toHaveLength(2);
  await fail();
  expect(client.state).toMatchObject({ status: "reconnecting", attempt: 2 });
});

test("connect, and a room that somebody wants, begin at once", async () => {
  const { client, loads, fail } = failing({ attempts: 1 });
  client.connect("t");
  await fail();
  client.joinRoom("agent:7");
  expect(loads).toHaveLength(2);
  await fail();
  client.connect();
  expect(loads).toHaveLength(3);
});

test("disconnect ends the attempts", async () => {
  const { client, loads, fail } = failing();
  client.connect("t");
  await fail();
  client.disconnect();
  expect(client.state).toEqual({ status: "closed", reason: "disconnected" });
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(loads).toHaveLength(1);
});

test.each(["no_webassembly", "wasm_blocked"])("%s is final, and has its own code", async (code) => {
  const { client, loads, fail } = failing();
  const connected = expect(client.connect("t")).rejects.toMatchObject({ code });
  await fail(new RealtimeError(code, "what to set"));
  await connected;
  expect(client.state).toEqual({ status: "closed", reason: code, message: "what to set" });
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(loads).toHaveLength(1);
});
