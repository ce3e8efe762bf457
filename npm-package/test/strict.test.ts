/** `validate: "strict"`: a bad event reaches nobody but `protocol_error`, its offset counts, and nothing passes unchecked. */
import { minLength, object, pipe, string } from "valibot";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { WebSocket } from "ws";
import { z } from "zod";
import type { ProtocolError } from "../src/events.js";
import { createClient } from "../src/index.js";
import { isStrict } from "../src/strict.js";
import type { ClientOptions } from "../src/types.js";
import type { Validator } from "../src/validators.js";
import { fakeClient } from "./fake-core.js";
import { eventFrame, ScriptedServer } from "./server.js";

const ROOM = "dashboard:overview";
const GOOD = { metric: "calls", values: { active: 1 } };
const BAD = { metric: "calls", values: { active: [1] } };

/** A client with the real module, joined, and the server's end of it. */
async function joined(options: ClientOptions = {}) {
  const server = await ScriptedServer.start();
  const client = createClient({ url: server.url, WebSocket, ...options });
  onTestFinished(() => {
    client.disconnect();
    server.stop();
  });
  const accepted = server.accepted();
  const room = client.joinRoom(ROOM);
  const bad: ProtocolError[] = [];
  client.on("protocol_error", (problem) => bad.push(problem));
  await client.connect("t");
  return { server, client, room, bad, there: await accepted };
}

test("a bad event reaches no listener, no store; what is wrong is told with its place; its offset counts", async () => {
  const { client, room, bad, there } = await joined();
  const heard: unknown[] = [];
  client.on("metric_update", (data, meta) => heard.push(["service", meta.offset, data.values.active]));
  client.on("*", (event) => heard.push(["any", event.offset]));
  room.on("metric_update", (_, meta) => heard.push(["room", meta.offset]));
  const last = new Promise<void>((resolve) =>
    room.on("*", (event) => {
      heard.push(["any of the room", event.offset]);
      if (event.offset === 3) resolve();
    }),
  );
  const kept: unknown[] = [];
  client.replay(ROOM, (event) => kept.push(event.data));
  there.send(
    eventFrame("metric_update", GOOD, ROOM, 1),
    eventFrame("metric_update", BAD, ROOM, 2),
    eventFrame("clip_played", { clipId: "c", plays: 1 }, ROOM, 3),
  );
  await last;
  expect(heard).toEqual([
    ["service", 1, 1],
    ["any", 1],
    ["room", 1],
    ["any of the room", 1],
    ["any", 3],
    ["any of the room", 3],
  ]);
  expect(bad).toEqual([
    {
      event: "metric_update",
      room: ROOM,
      offset: 2,
      eventId: `${ROOM}-2`,
      timestamp: expect.any(String),
      path: "data.values.active",
      expected: "a number, a string, a boolean or null",
      received: "an array",
      message: `metric_update in ${ROOM} at 2: data.values.active: expected a number, a string, a boolean or null, received an array`,
      data: BAD,
    },
  ]);
  expect(client.metrics.get("calls")?.values).toEqual({ active: 1 });
  client.replay(ROOM, (event) => kept.push(event.data));
  expect(kept).toEqual([GOOD, { clipId: "c", plays: 1 }]);
  // No gap was seen: nobody joined again, and a reconnect would go on behind the newest.
  expect(client.rooms.find((state) => state.room === ROOM)?.offset).toBe(3);
  expect(there.frames.filter((frame) => frame.type === "join")).toEqual([]);
});

test("events right behind the greeting are checked too, in order: the connection waits for the checker", async () => {
  const server = await ScriptedServer.start();
  const client = createClient({ url: server.url, WebSocket, validate: "strict" });
  onTestFinished(() => {
    client.disconnect();
    server.stop();
  });
  const order: unknown[] = [];
  client.joinRoom(ROOM);
  client.on("metric_update", (_, meta) => order.push(meta.offset));
  client.on("protocol_error", (problem) => order.push(`bad ${problem.offset}`));
  const done = new Promise<void>((resolve) => client.on("clip_played", () => resolve()));
  const accepted = server.accepted();
  const connected = client.connect("t");
  (await accepted).send(
    eventFrame("metric_update", BAD, ROOM, 1),
    eventFrame("metric_update", GOOD, ROOM, 2),
    eventFrame("metric_update", BAD, ROOM, 3),
    eventFrame("clip_played", { clipId: "c", plays: 1 }, ROOM, 4),
  );
  await Promise.all([connected, done]);
  expect(order).toEqual(["bad 1", 2, "bad 3"]);
});

test("turned on later it holds from the next connection on; off, everything passes", async () => {
  const { server, client, bad, there } = await joined({ validate: "off" });
  const heard = vi.fn();
  client.on("metric_update", heard);
  const first = new Promise<void>((resolve) => client.once("metric_update", () => resolve()));
  there.send(eventFrame("metric_update", BAD, ROOM, 1));
  await first;
  expect(heard).toHaveBeenCalledOnce();
  const accepted = server.accepted();
  const told = new Promise<void>((resolve) => client.once("protocol_error", () => resolve()));
  const connected = client.connect("t", { url: server.url, validate: "strict" });
  (await accepted).send(eventFrame("metric_update", BAD, ROOM, 1));
  await Promise.all([connected, told]);
  expect(heard).toHaveBeenCalledOnce();
  expect(bad).toMatchObject([{ offset: 1, path: "data.values.active" }]);
});

test("by two rooms it is told once; a listener of that name hears no event that is called so", async () => {
  const { client, live } = fakeClient({ url: "ws://h/ws", validate: "strict" });
  const core = await live();
  const told = vi.fn();
  client.on("protocol_error", told);
  const agent = vi.fn();
  client.joinRoom("agent:7").on("*", agent);
  const overview = vi.fn();
  client.joinRoom(ROOM).on("*", overview);
  const frame = core.event("agent_status_change", { agentId: "7", status: "" }, "agent:7", true);
  core.sink.event({ ...frame, room: ROOM, offset: 9 }, false);
  core.event("protocol_error", { path: "x" }, "agent:7");
  expect(told).toHaveBeenCalledExactlyOnceWith(
    expect.objectContaining({ event: "agent_status_change", room: "agent:7", path: "data.status" }),
    undefined,
  );
  expect(overview).not.toHaveBeenCalled();
  expect(agent).toHaveBeenCalledExactlyOnceWith(
    expect.objectContaining({ type: "protocol_error" }),
    undefined,
  );
});

test("unheard, it is warned of once for each field, without the event's text", async () => {
  const { live } = fakeClient({ url: "ws://h/ws", validate: "strict" });
  const core = await live();
  const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
  for (const status of ["", "s".repeat(200), "", 7])
    core.event("agent_status_change", { agentId: "8", status });
  core.event("clip_played", { clipId: "c", plays: "token" });
  expect(warned.mock.calls).toEqual([
    [
      "[osbackend] protocol_error: agent_status_change in dashboard:overview at 1: data.status: expected a string of 1 to 128 bytes, received an empty string. Listeners were not called; told once for this field",
    ],
    [
      "[osbackend] protocol_error: clip_played in dashboard:overview at 5: data.plays: expected a whole number from 0 to 9007199254740991, received a string of 5 bytes. Listeners were not called; told once for this field",
    ],
  ]);
});

test("a checker that can't be loaded is a failed attempt, and the next one tries again", async () => {
  vi.doMock("../src/validate/index.js", () => {
    throw new Error("404");
  });
  const { client, cores, loads } = fakeClient({ url: "ws://h/ws", validate: "strict" });
  const failed = new Promise((resolve) => client.on("error", resolve));
  const first = client.connect("t");
  loads[0]?.succeed();
  expect(await failed).toMatchObject({ code: "load_failed" });
  expect(client.state).toMatchObject({ status: "reconnecting", attempt: 2 });
  expect(cores).toEqual([]);
  vi.doUnmock("../src/validate/index.js");
  vi.resetModules();
  const second = client.connect();
  loads[1]?.succeed();
  await vi.waitFor(() => expect(cores).toHaveLength(1));
  cores[0]?.connected();
  await Promise.all([first, second]);
});

test("own events pass unless a validator refuses them: functions, Zod, Valibot", async () => {
  const { client, live } = fakeClient({ url: "ws://h/ws", validate: "strict" });
  const core = await live();
  const validators: Record<string, Validator> = {
    by_false: (data) => (data as { ok: boolean }).ok,
    by_throw: (data) => {
      if ((data as { n: number }).n < 0) throw new RangeError("n is negative");
    },
    by_zod: z.object({ order: z.object({ lines: z.array(z.object({ sku: z.string() })) }) }),
    by_parse: z.object({ total: z.number() }).parse,
    by_valibot: object({ sku: pipe(string(), minLength(1)) }),
    by_promise: async () => Promise.reject(new Error("late")),
    clip_played: (data) => (data as { plays: number }).plays < 1000,
  };
  const bad: string[] = [];
  const passed: unknown[] = [];
  client.on("protocol_error", ({ event, path, expected }) => bad.push(`${event} ${path}: ${expected}`));
  client.on("*", ({ type, data }) => passed.push([type, data]));
  core.event("by_false", { ok: false });
  expect(passed.splice(0)).toEqual([["by_false", { ok: false }]]);

  // Taken over without a new connection.
  await client.connect(undefined, { url: "ws://h/ws", validators });
  core.event("by_false", { ok: false });
  core.event("by_false", { ok: true });
  core.event("by_throw", { n: -1 });
  core.event("by_throw", { n: 1 });
  core.event("by_zod", { order: { lines: [{ sku: "a" }, { sku: 7 }] } });
  core.event("by_zod", { order: { lines: [{ sku: "a", more: 1 }] } });
  core.event("by_parse", { total: "7" });
  core.event("by_parse", { total: 0 });
  core.event("by_valibot", { sku: "" });
  core.event("by_valibot", { sku: "a" });
  core.event("by_promise", {});
  core.event("clip_played", { clipId: "c", plays: 1000 });
  core.event("clip_played", { clipId: "c", plays: -1 });
  core.event("toString", {});
  expect(passed).toEqual([
    ["by_false", { ok: true }],
    ["by_throw", { n: 1 }],
    // As it came, not as the schema would have it.
    ["by_zod", { order: { lines: [{ sku: "a", more: 1 }] } }],
    ["by_parse", { total: 0 }],
    ["by_valibot", { sku: "a" }],
    ["toString", {}],
  ]);
  expect(bad).toEqual([
    "by_false data: data that its validator takes",
    "by_throw data: n is negative",
    "by_zod data.order.lines[1].sku: Invalid input: expected string, received number",
    "by_parse data.total: Invalid input: expected number, received string",
    "by_valibot data.sku: Invalid length: Expected >=1 but received 0",
    "by_promise data: a validator that answers at once",
    "clip_played data: data that its validator takes",
    "clip_played data.plays: a whole number from 0 to 9007199254740991",
  ]);
});

const env = process.env.NODE_ENV;
afterEach(() => {
  vi.unstubAllGlobals();
  vi.stubEnv("NODE_ENV", env);
});

test("strict by default in development; off in production and where no mode is known", () => {
  vi.stubEnv("NODE_ENV", "development");
  expect(isStrict({})).toBe(true);
  expect(isStrict({ validate: "off" })).toBe(false);
  vi.stubEnv("NODE_ENV", "production");
  expect(isStrict({})).toBe(false);
  expect(isStrict({ validate: "strict" })).toBe(true);
  vi.stubGlobal("process", undefined);
  expect(isStrict({})).toBe(false);
});
