/** What arrives: to whom, how often, and what a failure does. */
import { expect, test, vi } from "vitest";
import { RealtimeError } from "../src/errors.js";
import { fakeClient } from "./fake-core.js";

test("an event by two rooms: once for the service, once for each room", async () => {
  const { client, live } = fakeClient();
  const service = vi.fn();
  const any = vi.fn();
  const agent = vi.fn();
  const overview = vi.fn();
  client.on("agent_status_change", service);
  client.on("*", any);
  client.joinRoom("agent:7").on("agent_status_change", agent);
  client.joinRoom("dashboard:overview").on("*", overview);
  const core = await live();
  const data = { agentId: "7", status: "online" };
  const frame = core.event("agent_status_change", data, "agent:7", true);
  core.sink.event({ ...frame, room: "dashboard:overview", offset: 9 }, false);
  expect(service).toHaveBeenCalledExactlyOnceWith(data, frame);
  expect(any).toHaveBeenCalledExactlyOnceWith(frame, undefined);
  expect(agent).toHaveBeenCalledExactlyOnceWith(data, frame);
  expect(overview).toHaveBeenCalledOnce();
  expect(overview.mock.calls[0]?.[0]).toMatchObject({ room: "dashboard:overview", offset: 9 });
});

test("a listener that throws stops nobody: told by error, else reported as the browser does", async () => {
  const { client, live } = fakeClient();
  const after = vi.fn();
  client.on("clip_played", () => {
    throw new Error("mine");
  });
  client.on("clip_played", after);
  const core = await live();
  const logged = vi.spyOn(console, "error").mockImplementation(() => {});
  core.event("clip_played", { clipId: "c", plays: 1 }, "clips:analytics");
  expect(logged).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message: "mine" }));

  const heard = vi.fn(() => {
    throw new Error("worse");
  });
  client.on("error", heard);
  core.event("clip_played", { clipId: "c", plays: 2 }, "clips:analytics");
  expect(heard).toHaveBeenCalledExactlyOnceWith(
    expect.objectContaining({ code: "listener_failed", cause: expect.objectContaining({ message: "mine" }) }),
    undefined,
  );
  expect(logged).toHaveBeenLastCalledWith(expect.objectContaining({ message: "worse" }));
  expect(after).toHaveBeenCalledTimes(2);
});

test("an event that is called like something of ours can't pose as it", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const state = vi.fn();
  const any = vi.fn();
  const room = client.joinRoom("agent:7");
  client.on("state", state);
  room.on("room", state);
  room.on("*", any);
  core.event("state", { status: "closed" }, "agent:7");
  core.event("room", { status: "refused" }, "agent:7");
  core.event("*", {}, "agent:7");
  expect(state).not.toHaveBeenCalled();
  expect(any).toHaveBeenCalledTimes(3);
});

test("system messages reach listeners of their name, errors become one type", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const heard: unknown[] = [];
  client.on("draining", (data, meta) => heard.push([data.reconnectAfterMs, meta.type]));
  client.on("presence_join", (data) => heard.push(data.userId));
  client.on("something_new", (data, meta) => heard.push([data, meta.type]));
  const errors: RealtimeError[] = [];
  client.on("error", (error) => errors.push(error));
  const presence = vi.fn();
  client.joinRoom("agent:7").on("presence_join", presence);
  const timestamp = "2026-01-01T00:00:00.000Z";
  core.sink.system({ type: "draining", data: { reconnectAfterMs: 5 }, timestamp });
  core.sink.system({
    type: "presence_join",
    data: { room: "agent:7", userId: "ann" },
    room: "agent:7",
    timestamp,
  });
  core.sink.system({ type: "something_new", data: { a: 1 }, timestamp });
  core.sink.system({
    type: "error",
    data: { code: "rate_limited", message: "slow down", retryAfterMs: 10, room: "agent:7" },
    timestamp,
  });
  expect(heard).toEqual([[5, "draining"], "ann", [{ a: 1 }, "something_new"]]);
  expect(presence).toHaveBeenCalledOnce();
  expect(errors[0]).toBeInstanceOf(RealtimeError);
  expect(errors[0]).toMatchObject({
    code: "rate_limited",
    message: "slow down",
    retryAfterMs: 10,
    room: "agent:7",
  });
});

test("a refusal that nobody listens for is warned of", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
  client.send("custom:thing", { a: 1 });
  core.sink.sendRefused("custom:thing", { a: 1 }, { code: "limit_reached", message: "too many" });
  expect(warned).toHaveBeenCalledExactlyOnceWith("[osbackend] custom:thing: limit_reached: too many");
});

test("requests: reply, refusal, refusal on the spot, what can't be sent", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const published = client.emit(
    "admin:broadcast",
    "clip_played",
    { clipId: "c", plays: 1 },
    { idempotencyKey: "k" },
  );
  expect(core.calls.at(-1)).toEqual([
    "request",
    "publish",
    { room: "admin:broadcast", type: "clip_played", data: { clipId: "c", plays: 1 }, idempotencyKey: "k" },
    undefined,
    "retry",
  ]);
  core.sink.reply(1, true, { room: "admin:broadcast", offset: 3, epoch: "e", eventId: "x" });
  expect(await published).toMatchObject({ offset: 3 });

  const refused = client.joinRoom("agent:7").emit("thing", {});
  core.sink.reply(2, false, { code: "forbidden", message: "admins only", retryAfterMs: 7 });
  const error = await refused.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(RealtimeError);
  expect(error).toMatchObject({
    code: "forbidden",
    message: "admins only",
    retryAfterMs: 7,
    messageType: "publish",
  });

  core.onRequest = (id) => core.sink.reply(id, false, { code: "too_large", message: "over 64 KiB" });
  await expect(client.request("custom:ask")).rejects.toMatchObject({ code: "too_large" });
  core.onRequest = () => {
    throw new TypeError("circular");
  };
  await expect(client.request("custom:ask")).rejects.toMatchObject({
    code: "bad_request",
    message: "circular",
  });
});

test("can, snapshots and readers", async () => {
  const { client, live } = fakeClient();
  expect(client.can("dashboard:overview", "join")).toBe(false);
  const before = client.getSnapshot();
  expect(client.getSnapshot()).toBe(before);
  const changed = vi.fn();
  const end = client.subscribe(changed);
  const core = await live();
  expect(client.can("dashboard:overview", "join")).toBe(true);
  expect(client.can("dashboard:overview", "publish")).toBe(false);
  expect(changed).toHaveBeenCalled();
  const after = client.getSnapshot();
  expect(after).not.toBe(before);
  core.event("clip_played", { clipId: "c", plays: 1 });
  expect(client.getSnapshot()).toBe(after);
  end();
  changed.mockClear();
  core.joined("user:u");
  expect(changed).not.toHaveBeenCalled();
  expect(client.getSnapshot().rooms).toMatchObject([{ room: "user:u", status: "joined" }]);
});
