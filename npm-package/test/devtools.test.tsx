// @vitest-environment happy-dom
/** The devtools on the real client and the fake server: what is seen, found, left out, recorded and played again. */
import { act, cleanup, render } from "@testing-library/react";
import { StrictMode } from "react";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { Capture } from "../src/devtools/capture.js";
import { type Entry, fits } from "../src/devtools/entries.js";
import { createReplay, mountDevtools, RealtimeDevtools, SessionFileError } from "../src/devtools/index.js";
import { REDACTED, Redactor, redactedUrl } from "../src/devtools/redact.js";
import { fromNdjson, toNdjson } from "../src/devtools/session-file.js";
import { createClient } from "../src/index.js";
import { newest } from "../src/inspect.js";
import { createFakeServer } from "../src/testing/index.js";
import type { ClientOptions } from "../src/types.js";
import { reaches } from "./live.js";

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
afterEach(cleanup);

function start(options: ClientOptions = {}) {
  const server = createFakeServer({ user: () => ({ id: "ann" }) });
  const client = createClient({
    url: server.url,
    WebSocket: server.WebSocket,
    backoff: { initialMs: 1, maxMs: 2, attempts: 0 },
    ...options,
  });
  onTestFinished(() => client.disconnect());
  return { server, client };
}

const types = (entries: readonly Entry[]) => entries.map(({ direction, type }) => `${direction} ${type}`);

test("every state, socket and frame is seen in order, also of a connection that was there before", async () => {
  const { server, client } = start();
  const capture = new Capture(client);
  client.joinRoom("agent:7");
  await client.connect("secret-token");
  server.emit("agent_status_change", { agentId: "7", status: "busy" });
  await server.settled();
  expect(types(capture.entries)).toEqual([
    "client state",
    "client state",
    "client socket",
    "out connect",
    "in connection_established",
    "client state",
    "in agent_status_change",
  ]);
  expect(capture.entries.at(-1)).toMatchObject({ room: "agent:7", offset: 1, direction: "in" });
  const late = new Capture(client);
  const presence = client.request("presence:get", { room: "agent:7" });
  await presence;
  expect(types(late.entries)).toEqual(["client state", "client socket", "out presence:get", "in presence"]);
  // Ended, it leaves the client as it was.
  late.stop();
  capture.stop();
  await client.request("presence:get", { room: "agent:7" });
  expect(late.entries.length).toBe(4);
});

test("secrets are in no entry, no panel and no file; the rest of an event's data stays", async () => {
  const { server, client } = start({ url: "ws://fake.invalid/ws?token=secret-token" });
  const capture = new Capture(client, { redact: ["IBAN"] });
  const unmount = mountDevtools({ client, open: true, redact: ["IBAN"] });
  onTestFinished(unmount);
  let asked = 0;
  await client.connect(() => `secret-token-${++asked}`);
  server.expireTokens();
  await server.message("auth");
  await server.settled();
  server.publish("user:ann", "key_made", {
    name: "of the application",
    password: "hunter2",
    headers: { Authorization: "Bearer hunter2" },
    apiKey: "hunter2",
    iban: "hunter2",
    tokensUsed: 512,
  });
  await server.settled();
  const file = toNdjson(capture.entries);
  expect(file).not.toContain("secret-token");
  expect(file).not.toMatch(/resume-\d/);
  expect(file).not.toContain("hunter2");
  expect(file).toContain("of the application");
  expect(file).toContain('"tokensUsed":512');
  expect(capture.entries.find(({ type }) => type === "connect")?.frame).toMatchObject({
    payload: { token: REDACTED },
  });
  expect(capture.entries.find(({ type }) => type === "auth")?.frame).toMatchObject({
    payload: { token: REDACTED },
  });
  expect(
    new Redactor().redacted({ type: "connect", payload: { resume: { clientId: "c", token: "t" } } }),
  ).toEqual({
    type: "connect",
    payload: { resume: { clientId: "c", token: REDACTED } },
  });
  expect(redactedUrl("wss://a/ws?x=1&token=abc#y")).toBe(`wss://a/ws?x=1&token=${REDACTED}#y`);
  expect(redactedUrl("wss://ann:hunter2@a/ws?apiKey=k&X-Amz-Signature=s&room=1")).toBe(
    `wss://${REDACTED}@a/ws?apiKey=${REDACTED}&X-Amz-Signature=${REDACTED}&room=1`,
  );
});

test("rooms: offset, what is behind, skipped, recovered; events a second", async () => {
  const { server, client } = start();
  const capture = new Capture(client);
  client.joinRoom("dashboard:overview");
  await client.connect("t");
  for (let active = 0; active < 5; active++)
    server.emit("metric_update", { metric: "calls", values: { active } });
  await server.settled();
  expect(capture.rooms().find(({ room }) => room === "dashboard:overview")).toMatchObject({
    status: "joined",
    offset: 5,
    behind: 0,
    events: 5,
    skipped: 0,
    recovered: false,
  });
  expect(capture.rooms()[0]?.lagMs).toBeGreaterThanOrEqual(0);
  expect(capture.rate().reduce((sum, count) => sum + count, 0)).toBe(5);
  server.goAway();
  await reaches(client, "reconnecting");
  server.emit("metric_update", { metric: "calls", values: { active: 9 } });
  server.comeBack();
  await reaches(client, "connected");
  await server.settled();
  expect(capture.rooms()[0]).toMatchObject({ offset: 6, behind: 0, events: 6, recovered: true });
});

test("the timeline is bounded, and found by words, direction and without heartbeats", () => {
  const { client } = start();
  const capture = new Capture(client, { limit: 10 });
  for (let n = 0; n < 100; n++) client.connect();
  client.disconnect();
  expect(capture.entries.length).toBeLessThanOrEqual(12);
  const entry = (type: string, frame: unknown): Entry => ({
    n: 1,
    at: 0,
    direction: "in",
    type,
    size: 1,
    frame,
  });
  const event = entry("clip_played", { data: { clipId: "Summer", plays: 3 } });
  expect(fits(event, { search: "summer clip" })).toBe(true);
  expect(fits(event, { search: "summer -plays" })).toBe(false);
  expect(fits(event, { search: "winter" })).toBe(false);
  expect(fits(event, { directions: new Set(["out"] as const) })).toBe(false);
  expect(fits(entry("heartbeat", {}), { hideHeartbeats: true })).toBe(false);
  expect(fits(entry("heartbeat", {}), {})).toBe(true);
});

test("a recorded session is played to another client, over its reconnect", async () => {
  const { server, client } = start();
  const capture = new Capture(client);
  client.joinRoom("agent:7");
  await client.connect("t");
  server.publish("agent:7", "note", { n: 1 });
  await server.settled();
  server.goAway();
  await reaches(client, "reconnecting");
  server.publish("agent:7", "note", { n: 2 });
  server.comeBack();
  await reaches(client, "connected");
  await server.settled();
  const file = toNdjson(capture.entries);
  expect(fromNdjson(file).map(({ type, frame, at }) => ({ type, frame, at }))).toEqual(
    capture.entries.map(({ type, frame, at }) => ({ type, frame, at })),
  );
  const { url, WebSocket, done } = createReplay(file, { speed: Number.POSITIVE_INFINITY });
  const second = createClient({ url, WebSocket, backoff: { initialMs: 1, maxMs: 1, attempts: 0 } });
  onTestFinished(() => second.disconnect());
  const heard: unknown[] = [];
  const states: string[] = [];
  second.on("state", ({ status }) => states.push(status));
  second.joinRoom("agent:7").on("note" as string, ({ n }) => heard.push(n));
  await second.connect();
  await done;
  expect(heard).toEqual([1, 2]);
  expect(states).toEqual(["connecting", "connected", "reconnecting", "connecting", "connected"]);
  expect(second.clientId).toBe(client.clientId);
});

test("a file that is no session is refused by its line", () => {
  const head = '{"format":"osbackend-session","version":1}';
  for (const [text, message] of [
    ["", "first line"],
    ["hello", "line 1"],
    ['{"format":"other"}', "first line"],
    ['{"format":"osbackend-session","version":9}', "version 9"],
    [`${head}\n{"at":1}`, "line 2: at, direction and type"],
    [`${head}\n\n{"at":1,"direction":"in","type":"x"}\n[`, "line 4: no JSON object"],
  ] as const) {
    expect(() => fromNdjson(text), text).toThrow(SessionFileError);
    expect(() => fromNdjson(text), text).toThrow(message);
  }
});

/** What a reader can do in the panel. */
function panel() {
  const host = document.querySelector("[data-osbackend-devtools]");
  const root = host?.shadowRoot;
  if (!root) throw new Error("the devtools are not in the page");
  const button = (text: string) =>
    [...root.querySelectorAll("button")].find((one) =>
      (one.getAttribute("aria-label") ?? one.textContent)?.includes(text),
    );
  const rows = () =>
    [...root.querySelectorAll("tbody tr[data-type]")].map((row) => row.getAttribute("data-type"));
  const click = (text: string) => {
    const found = button(text);
    if (found === undefined) expect.fail(`no button ${text}`);
    found.click();
  };
  return { root, rows, click };
}

test("the panel: badge, timeline, search, one frame opened, rooms, pause", async () => {
  const { server, client } = start();
  const unmount = mountDevtools({ client });
  onTestFinished(unmount);
  await client.connect("t");
  const { root, rows, click } = panel();
  click("Open the realtime devtools");
  client.joinRoom("agent:7");
  await server.message("join");
  server.emit("agent_status_change", { agentId: "7", status: "busy" });
  await expect.poll(rows).toContain("agent_status_change");
  const search = root.querySelector("input[type=search]") as HTMLInputElement;
  search.value = "busy";
  search.dispatchEvent(new Event("input"));
  expect(rows()).toEqual(["agent_status_change"]);
  click("agent_status_change");
  expect(root.querySelector("pre")?.textContent).toContain('"status": "busy"');
  search.value = "";
  search.dispatchEvent(new Event("input"));
  click("↓ received");
  expect(rows()).not.toContain("agent_status_change");
  click("↓ received");
  click("Pause");
  const before = rows().length;
  // From here on the panel's clock is the test's: its next picture comes when that says so.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  server.publish("agent:7", "note", {});
  await server.settled();
  vi.advanceTimersByTime(1000);
  expect(rows().length).toBe(before);
  click("Resume");
  expect(rows()).toContain("note");
  click("Rooms");
  expect([...root.querySelectorAll("tr[data-room]")].map((row) => row.getAttribute("data-room"))).toEqual([
    "agent:7",
    "user:ann",
  ]);
  unmount();
  expect(document.querySelector("[data-osbackend-devtools]")).toBeNull();
});

test("a session that is loaded shows its own entries, whatever was on the timeline under the same numbers", async () => {
  const { client } = start();
  const unmount = mountDevtools({ client, open: true });
  onTestFinished(unmount);
  await client.connect("t");
  const { root, rows, click } = panel();
  await expect.poll(rows).toContain("connect");
  const live = rows();
  click("state");
  expect(root.querySelectorAll("pre").length).toBe(1);
  const entries = ["first", "second"].map(
    (type, n): Entry => ({
      n: n + 1,
      at: n,
      direction: "in",
      type,
      size: 1,
      frame: { type, data: { of: "session" } },
    }),
  );
  const input = root.querySelector("input[type=file]") as HTMLInputElement;
  const file = new File([toNdjson(entries)], "session.ndjson");
  Object.defineProperty(input, "files", { configurable: true, value: [file] });
  input.dispatchEvent(new Event("change"));
  await expect.poll(rows).toEqual(["first", "second"]);
  // What was open there isn't here.
  expect(root.querySelectorAll("pre").length).toBe(0);
  click("second");
  expect(root.querySelector("pre")?.textContent).toContain('"of": "session"');
  click("Back to now");
  expect(rows().slice(0, live.length)).toEqual(live);
  expect(root.querySelector("pre")?.textContent).toContain('"status": "idle"');
});

test("without a client it is the one that connects next, for every panel that waits", async () => {
  const { client } = start();
  // Another client may have connected before, in another test.
  newest.client = undefined as never;
  const unmounts = [mountDevtools(), mountDevtools(), mountDevtools()];
  onTestFinished(() => {
    for (const unmount of unmounts) unmount();
  });
  unmounts[0]?.();
  await client.connect("t");
  expect(document.querySelectorAll("[data-osbackend-devtools]").length).toBe(2);
});

test("the component mounts once under StrictMode, and goes with its parent", async () => {
  const { client } = start();
  const page = render(
    <StrictMode>
      <RealtimeDevtools client={client} open />
    </StrictMode>,
  );
  expect(document.querySelectorAll("[data-osbackend-devtools]").length).toBe(1);
  await act(() => client.connect("t"));
  expect(panel().root.querySelector(".head")?.textContent).toContain("Realtime");
  page.unmount();
  expect(document.querySelectorAll("[data-osbackend-devtools]").length).toBe(0);
});
