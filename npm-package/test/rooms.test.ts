/** Rooms: who holds them, when they are joined and left, how they stand. */
import { expect, test, vi } from "vitest";
import { fakeClient } from "./fake-core.js";

test("two handles share one join; the last leave leaves; a handle's listeners end with it", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const a = client.joinRoom("agent:7");
  const b = client.joinRoom("agent:7");
  const heardA = vi.fn();
  const heardB = vi.fn();
  a.on("*", heardA);
  b.once("*", heardB);
  expect(core.count("join")).toBe(1);
  a.leave();
  a.leave();
  expect(core.count("leave")).toBe(0);
  expect(a.state).toEqual({ room: "agent:7", status: "left", reason: "requested" });
  expect(a.state).toBe(a.state);
  core.event("x", {}, "agent:7");
  core.event("x", {}, "agent:7");
  expect(heardA).not.toHaveBeenCalled();
  expect(heardB).toHaveBeenCalledOnce();
  b.leave();
  expect(core.calls.filter(([name]) => name === "leave")).toEqual([["leave", "agent:7"]]);
  expect(client.rooms).toEqual([]);
});

test("once of a handle: once, and off takes it back", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const room = client.joinRoom("agent:7");
  const heard = vi.fn();
  room.once("thing", heard);
  core.event("thing", { n: 1 }, "agent:7");
  core.event("thing", { n: 2 }, "agent:7");
  expect(heard.mock.calls.map(([data]) => data)).toEqual([{ n: 1 }]);
  room.once("thing", heard);
  room.off("thing", heard);
  core.event("thing", { n: 3 }, "agent:7");
  expect(heard).toHaveBeenCalledOnce();
});

test("off of a handle ends its own subscription only", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const listener = vi.fn();
  const a = client.joinRoom("agent:7");
  const b = client.joinRoom("agent:7");
  a.on("x", listener);
  b.on("x", listener);
  a.off("x", listener);
  core.event("x", {}, "agent:7");
  expect(listener).toHaveBeenCalledOnce();
});

test("leaveRoom ends every handle, and a room that the server joined", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const a = client.joinRoom("agent:7");
  const b = client.joinRoom("agent:7");
  client.leaveRoom("agent:7");
  expect([a.state.status, b.state.status]).toEqual(["left", "left"]);
  expect(core.count("leave")).toBe(1);
  core.joined("user:u");
  client.leaveRoom("user:u");
  expect(core.calls.at(-1)).toEqual(["leave", "user:u"]);
  client.leaveRoom("never:joined");
  expect(core.count("leave")).toBe(2);
  expect(client.rooms).toEqual([]);
});

test("a malformed name is a refusal that is told, not an exception, loaded or not", async () => {
  const { client, live } = fakeClient();
  const errors = vi.fn();
  client.on("error", errors);
  const early = client.joinRoom("nonsense");
  await live();
  const late = client.joinRoom("more nonsense");
  for (const room of [early, late]) {
    expect(room.state).toMatchObject({ status: "refused", error: { code: "bad_request" } });
  }
  expect(errors).toHaveBeenCalledTimes(2);
  expect(errors.mock.calls[0]?.[0]).toMatchObject({ code: "bad_request", room: "nonsense" });
});

test("refused, then asked again by another handle: it is tried again", async () => {
  const { client, live } = fakeClient();
  client.on("error", () => {});
  const core = await live();
  const first = client.joinRoom("agent:7");
  const told: string[] = [];
  first.on("room", (state) => told.push(state.status));
  core.sink.room({ room: "agent:7", status: "refused", error: { code: "forbidden", message: "no" } });
  client.joinRoom("agent:7");
  expect(core.count("join")).toBe(2);
  core.joined("agent:7");
  expect(told).toEqual(["refused", "joined"]);
});

test("a membership that the server ends shows, with its reason", async () => {
  const { client, live } = fakeClient();
  const errors = vi.fn();
  client.on("error", errors);
  const core = await live();
  const room = client.joinRoom("agent:7");
  core.joined("agent:7");
  core.room({ room: "agent:7", status: "refused", error: { code: "forbidden", message: "not any more" } });
  expect(room.state).toMatchObject({ status: "refused", error: { code: "forbidden" } });
  expect(errors).toHaveBeenCalledOnce();
});

test("a lost connection shows in the rooms; what only the server had joined goes with its user", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const room = client.joinRoom("agent:7");
  core.joined("agent:7");
  core.joined("user:u");
  const told: string[] = [];
  room.on("room", (state) => told.push(state.status));
  core.lost("user:u");
  expect(client.getSnapshot().rooms).toMatchObject([{ room: "agent:7", status: "joining" }]);
  core.connected();
  core.joined("agent:7");
  expect(told).toEqual(["joining", "joined"]);
});

test("rooms shows positions as of now", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  client.joinRoom("agent:7");
  core.joined("agent:7");
  core.live = [{ room: "agent:7", status: "joined", epoch: "e", offset: 41 }];
  expect(client.rooms).toEqual([{ room: "agent:7", status: "joined", epoch: "e", offset: 41 }]);
});
