/** Connecting: before the module is there, when it can't be loaded, tokens, users, closing. */

import { expect, test, vi } from "vitest";
import { RealtimeError } from "../src/errors.js";
import { sameOptions } from "../src/options.js";
import { type FakeCore, fakeClient, settled } from "./fake-core.js";

function jwt(sub: string, extra = ""): string {
  return `h.${btoa(JSON.stringify({ sub, extra })).replace(/=/g, "")}.s`;
}

test("what is asked before the module is loaded happens in order", async () => {
  const { client, cores, loads } = fakeClient();
  const room = client.joinRoom("agent:7");
  client.send("a", { n: 1 });
  const reply = client.request("metrics:get", {});
  const connected = client.connect("t");
  client.joinRoom("dashboard:overview", { snapshot: false });
  client.send("b");
  expect(client.state).toEqual({ status: "connecting", attempt: 1 });
  expect(client.rooms).toEqual([
    { room: "agent:7", status: "joining" },
    { room: "dashboard:overview", status: "joining" },
  ]);
  loads[0]?.succeed();
  await settled();
  const core = cores[0] as FakeCore;
  expect(core.asked).toEqual([
    ["join", "agent:7", true],
    ["join", "dashboard:overview", false],
    ["send", "a", { n: 1 }],
    ["request", "metrics:get", {}, expect.any(Number)],
    ["send", "b", undefined],
    ["connect"],
  ]);
  expect(core.calls.at(-1)).toEqual(["setToken", "t"]);
  core.connected();
  await connected;
  core.sink.reply(1, true, { points: [] });
  expect(await reply).toEqual({ points: [] });
  core.joined("agent:7");
  expect(room.state.status).toBe("joined");
  expect(client.clientId).toBe("c1");
});

test("connecting again while loading or connected makes nothing new", async () => {
  const { client, cores, loads } = fakeClient();
  const first = client.connect("t");
  const second = client.connect("t");
  expect(loads).toHaveLength(1);
  loads[0]?.succeed();
  await settled();
  cores[0]?.connected();
  await Promise.all([first, second]);
  await client.connect("t");
  expect(cores).toHaveLength(1);
  expect(cores[0]?.count("connect")).toBe(1);
  expect(cores[0]?.count("setToken")).toBe(1);
});

test("disconnect while loading: no core is made, the promise rejects, connect works later", async () => {
  const { client, cores, loads } = fakeClient();
  const connected = client.connect("t");
  client.disconnect();
  await expect(connected).rejects.toMatchObject({ code: "disconnected" });
  loads[0]?.succeed();
  await settled();
  expect(cores).toHaveLength(0);
  expect(client.state).toEqual({ status: "closed", reason: "disconnected" });
  const again = client.connect();
  expect(client.state).toMatchObject({ status: "connecting" });
  await settled();
  cores[0]?.connected();
  await again;
});

test("disconnect and connect again while loading: it shows as connecting, and is loaded once", async () => {
  const { client, cores, loads } = fakeClient();
  client.connect("t");
  client.disconnect();
  client.connect("t");
  expect(client.state).toEqual({ status: "connecting", attempt: 1 });
  loads[0]?.succeed();
  await settled();
  expect([loads.length, cores.length]).toEqual([1, 1]);
});

test("disconnect, then connect: the same core goes on, with its rooms", async () => {
  const { client, cores, live } = fakeClient();
  client.joinRoom("agent:7");
  const core = await live("t");
  client.disconnect();
  expect(client.state).toEqual({ status: "closed", code: 1000, reason: "disconnected" });
  const again = client.connect();
  await settled();
  core.connected();
  await again;
  expect(cores).toHaveLength(1);
  expect(core.count("connect")).toBe(2);
  expect(core.count("join")).toBe(1);
});

test("a connection that the server closes for good rejects with its code", async () => {
  const { client, cores, loads } = fakeClient();
  const connected = client.connect("bad");
  loads[0]?.succeed();
  await settled();
  cores[0]?.tell({ status: "closed", code: 4501, reason: "unauthorized" });
  const error = await connected.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(RealtimeError);
  expect(error).toMatchObject({ code: "unauthorized", closeCode: 4501 });
});

test("a promise that nobody looks at is no unhandled rejection", async () => {
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  const { client, cores, loads } = fakeClient();
  client.connect("t");
  loads[0]?.succeed();
  await settled();
  cores[0]?.tell({ status: "closed", code: 4501, reason: "unauthorized" });
  await settled();
  await settled();
  process.off("unhandledRejection", unhandled);
  expect(unhandled).not.toHaveBeenCalled();
});

test("a provider is asked each time; only its newest answer counts; a failure is told to the core", async () => {
  const { client, cores, loads } = fakeClient();
  const answers: ((token: string) => void)[] = [];
  const provider = vi.fn(() => new Promise<string>((resolve) => answers.push(resolve)));
  client.connect(provider);
  loads[0]?.succeed();
  await settled();
  const core = cores[0] as FakeCore;
  core.sink.needToken();
  await settled();
  expect(provider).toHaveBeenCalledTimes(2);
  answers[1]?.("new");
  await settled();
  answers[0]?.("old");
  await settled();
  expect(core.calls.filter(([name]) => name === "setToken")).toEqual([["setToken", "new"]]);

  client.connect(() => {
    throw new Error("signed out");
  });
  core.sink.needToken();
  await settled();
  expect(core.calls.at(-1)).toEqual(["tokenFailed", "signed out"]);
});

test("a fresh token of the same user goes into the live connection", async () => {
  const { client, cores, live } = fakeClient();
  const core = await live(jwt("ann"));
  await client.connect(jwt("ann", "fresh"));
  await settled();
  expect(cores).toHaveLength(1);
  expect(core.calls.at(-1)).toEqual(["setToken", jwt("ann", "fresh")]);
});

test("another user, or none any more, gets another session; the rooms are asked for anew", async () => {
  const { client, cores, live } = fakeClient();
  const heard: unknown[] = [];
  client.joinRoom("agent:7");
  client.on("agent_status_change", (data) => heard.push(data));
  const core = await live(jwt("ann"));
  core.event("metric_update", { metric: "m", values: {} });
  const asked = expect(client.request("custom:ask")).rejects.toMatchObject({ code: "disconnected" });
  for (const [index, token] of [jwt("bob"), null].entries()) {
    const connected = client.connect(token);
    await settled();
    const next = cores[index + 1] as FakeCore;
    expect(next.asked).toEqual([["join", "agent:7", true], ["connect"]]);
    next.connected();
    await connected;
  }
  await asked;
  expect(core.count("disconnect")).toBe(1);
  expect(client.metrics.get("m")).toBeUndefined();
  core.event("agent_status_change", { agentId: "7", status: "online" }, "agent:7");
  expect(heard).toEqual([]);
  await vi.waitFor(() => expect(core.count("free")).toBe(1));
});

test("a token given while the last one is on its way takes its place", async () => {
  const { client, cores, loads } = fakeClient();
  client.connect(jwt("ann"));
  loads[0]?.succeed();
  await settled();
  cores[0]?.sink.needToken();
  client.connect(jwt("ann", "fresh"));
  await settled();
  expect(cores[0]?.calls.filter(([name]) => name === "setToken")).toEqual([
    ["setToken", jwt("ann")],
    ["setToken", jwt("ann", "fresh")],
  ]);
});

test("a provider that turns to another user: what the first one saw is forgotten", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  core.event("metric_update", { metric: "m", values: {} });
  core.lost();
  core.connected();
  expect(client.metrics.get("m")).toBeDefined();
  core.lost();
  core.connected("somebody else");
  expect(client.metrics.get("m")).toBeUndefined();
});

test("other options make another connection, the same do not", async () => {
  const { client, cores, live } = fakeClient();
  await live("t");
  await client.connect("t", { url: "ws://h/ws" });
  expect(cores).toHaveLength(1);
  const connected = client.connect("t", { url: "ws://other/ws" });
  expect(cores).toHaveLength(2);
  cores[1]?.connected();
  await connected;
  expect(cores[1]?.options.url).toBe("ws://other/ws");
});

test("the endpoint: http is understood, nonsense is refused with what to do", async () => {
  const over = async (url: string) => {
    const { client, cores, loads } = fakeClient({ url });
    const connected = client.connect();
    loads[0]?.succeed();
    await settled();
    cores[0]?.connected();
    await connected;
    return cores[0]?.options;
  };
  expect(await over("https://h:1/ws?a=b#c")).toMatchObject({ url: "wss://h:1/ws?a=b", batch: true });
  await expect(over("/ws")).rejects.toMatchObject({
    code: "bad_options",
    message: expect.stringContaining("full ws:"),
  });
  await expect(over("ftp://h/ws")).rejects.toMatchObject({ code: "bad_options" });
});

test("without a WebSocket class, as in Node, connecting fails at once and says what to give", async () => {
  vi.stubGlobal("WebSocket", undefined);
  const { client, loads } = fakeClient({ url: "ws://h/ws", WebSocket: undefined });
  const connected = client.connect();
  loads[0]?.succeed();
  await expect(connected).rejects.toMatchObject({
    code: "bad_options",
    message: expect.stringContaining("ws)"),
  });
  expect(client.state.status).toBe("closed");
  vi.unstubAllGlobals();
});

test("what waits for the module is bounded and ends in time", async () => {
  vi.useFakeTimers();
  try {
    const { client } = fakeClient({ url: "ws://h/ws", queueLimit: 2, requestTimeoutMs: 50 });
    const refused = vi.fn();
    client.on("error", refused);
    const first = expect(client.request("custom:first")).rejects.toMatchObject({ code: "limit_reached" });
    client.send("zeroth");
    const second = client.request("custom:second");
    const third = client.request("custom:third", {}, { timeoutMs: 20 });
    await first;
    expect(refused.mock.calls).toMatchObject([[{ code: "limit_reached", messageType: "zeroth" }, undefined]]);
    // What was refused waits for nothing any more; the two others have their time-outs.
    expect(vi.getTimerCount()).toBe(2);
    const both = Promise.allSettled([second, third]);
    vi.advanceTimersByTime(20);
    vi.advanceTimersByTime(30);
    expect(await both).toMatchObject([{ reason: { code: "timeout" } }, { reason: { code: "timeout" } }]);
  } finally {
    vi.useRealTimers();
  }
});

test("options are the same whatever their order, and with what is left out spelled out", () => {
  const one = { url: "ws://a/ws", backoff: { initialMs: 1, maxMs: 2 } };
  expect(sameOptions(one, { backoff: { maxMs: 2, initialMs: 1 }, url: "ws://a/ws", batch: undefined })).toBe(
    true,
  );
  expect(sameOptions(one, { ...one, backoff: { initialMs: 1, maxMs: 3 } })).toBe(false);
  expect(sameOptions(one, { ...one, batch: false })).toBe(false);
});
