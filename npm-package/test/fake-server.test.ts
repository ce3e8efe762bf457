/** The fake server of `./testing` against the real client, and against the golden frames that the real server is held to. */
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createClient, type Metrics, type RealtimeEvent } from "../src/index.js";
import { createFakeServer, type FakeServerOptions } from "../src/testing/index.js";
import type { ClientOptions } from "../src/types.js";
import { type Golden, type GoldenFrame, golden } from "./golden.js";
import { collects, reaches } from "./live.js";

function start(options: FakeServerOptions = {}, clientOptions: ClientOptions = {}) {
  const server = createFakeServer(options);
  const client = createClient({
    url: server.url,
    WebSocket: server.WebSocket,
    backoff: { initialMs: 1, maxMs: 2, attempts: 0 },
    ...clientOptions,
  });
  client.on("error", () => {});
  onTestFinished(() => client.disconnect());
  return { server, client };
}

test("what a component's test needs: connect, join, emit, hear", async () => {
  const { server, client } = start();
  const heard = collects<RealtimeEvent>(2, (done) => client.on("*", done));
  const room = client.joinRoom("agent:7");
  await client.connect("ann");
  expect(client.state).toMatchObject({
    status: "connected",
    userId: "ann",
    authenticated: true,
    resumed: false,
  });
  expect(room.state).toMatchObject({ status: "joined", offset: 0 });
  expect(server.members("agent:7")).toEqual([client.clientId]);
  server.emit("agent_status_change", { agentId: "7", status: "busy" });
  server.publish("agent:7", "note", { text: "hi" });
  expect((await heard).map(({ type, data, offset }) => [type, data, offset])).toEqual([
    ["agent_status_change", { agentId: "7", status: "busy" }, 1],
    ["note", { text: "hi" }, 2],
  ]);
});

test("who comes later gets the newest of each key, marked as a snapshot", async () => {
  const { server, client } = start();
  for (const active of [1, 2, 3]) server.emit("metric_update", { metric: "calls", values: { active } });
  server.publish("dashboard:overview", "seat", { n: 1 }, { key: "a" });
  const heard = collects<RealtimeEvent>(2, (done) => client.on("*", done));
  client.joinRoom("dashboard:overview");
  await client.connect("ann");
  expect((await heard).map(({ data, offset, snapshot }) => [data, offset, snapshot])).toEqual([
    [{ metric: "calls", values: { active: 3 } }, 3, true],
    [{ n: 1 }, 4, true],
  ]);
  const { points } = await client.request("metrics:get", { type: "calls" });
  expect(points.map(({ values }) => values.active)).toEqual([1, 2, 3]);
});

test("stored metrics: pages go on where one was cut, days are those of the zone, and what is wrong is named", async () => {
  const at = (timestamp: string, active: number) => ({ metric: "calls", timestamp, values: { active } });
  const points = [
    at("2026-03-28T22:30:00.000Z", 1),
    at("2026-03-28T23:30:00.000Z", 2),
    at("2026-03-29T21:30:00.000Z", 3),
    at("2026-03-29T22:30:00.000Z", 4),
  ];
  const { client } = start({ metrics: points });
  await client.connect("ann");
  const values = (answer: Metrics) => answer.points.map((point) => point.values.active);
  const range = { startDate: "2026-03-01", endDate: "2026-03-31" };
  const newest = await client.request("metrics:get", { ...range, limit: 3 });
  expect([values(newest), newest.truncated]).toEqual([[2, 3, 4], true]);
  const rest = await client.request("metrics:get", { ...range, limit: 3, cursor: newest.cursor ?? "" });
  expect([values(rest), rest.truncated, rest.cursor]).toEqual([[1], undefined, undefined]);
  // The clocks go forward on that day: it ends two hours before UTC's.
  const day = await client.request("metrics:get", {
    startDate: "2026-03-29",
    endDate: "2026-03-29",
    interval: "1d",
    tz: "Europe/Berlin",
  });
  expect([values(day), day.from, day.to, day.tz]).toEqual([
    [2, 3],
    "2026-03-28T23:00:00.000Z",
    "2026-03-29T21:59:59.999Z",
    "Europe/Berlin",
  ]);
  for (const [wrong, field] of [
    [{ limit: 10_001 }, "limit"],
    [{ tz: "Mars/Olympus", interval: "1d" }, "tz"],
    [{ tz: "Europe/Berlin" }, "tz"],
    [{ interval: "2m" as "1m" }, "interval"],
    [{ cursor: "x" }, "cursor"],
  ] as const) {
    await expect(client.request("metrics:get", wrong)).rejects.toThrow(field);
  }
});

test("a loss: the client comes back as the same one and gets what it missed; after a restart nothing is recovered", async () => {
  const { server, client } = start();
  const room = client.joinRoom("agent:7");
  await client.connect("ann");
  const { clientId } = client;
  const lost = reaches(client, "reconnecting");
  server.goAway();
  await lost;
  server.publish("agent:7", "note", { n: 1 });
  const missed = collects<RealtimeEvent>(1, (done) => room.on("*", done));
  server.comeBack();
  expect(await reaches(client, "connected")).toMatchObject({ resumed: true, clientId });
  expect((await missed)[0]?.data).toEqual({ n: 1 });
  expect(client.rooms).toMatchObject([{ room: "agent:7", recovered: true, offset: 1 }, {}]);
  server.goAway();
  await reaches(client, "reconnecting");
  server.comeBack({ forget: true });
  expect(await reaches(client, "connected")).toMatchObject({ resumed: false });
  expect(room.state).toMatchObject({ status: "joined", recovered: false, offset: 0 });
});

test("requests: published once per key, presence, history, custom messages, refusals", async () => {
  const { server, client } = start({
    allow: (action, room) => !(action === "join" && room === "agent:secret"),
    handlers: { "time:get": (_, { userId }) => ({ by: userId }) },
  });
  client.joinRoom("agent:7");
  const secret = client.joinRoom("agent:secret");
  await client.connect("ann");
  expect(secret.state).toMatchObject({ status: "refused", error: { code: "forbidden" } });
  const first = await client.emit("agent:7", "note", { n: 1 }, { idempotencyKey: "k" });
  expect(await client.emit("agent:7", "note", { n: 1 }, { idempotencyKey: "k" })).toEqual(first);
  expect((await client.request("history:get", { room: "agent:7" })).events).toMatchObject([
    { data: { n: 1 }, offset: 1 },
  ]);
  expect(await client.request("time:get", {})).toEqual({ by: "ann" });
  await expect(client.request("other:get", {})).rejects.toMatchObject({ code: "unknown_type" });
  const other = createClient({ url: server.url, WebSocket: server.WebSocket });
  onTestFinished(() => other.disconnect());
  const came = collects<unknown>(1, (done) => client.on("presence_join", ({ userId }) => done(userId)));
  other.joinRoom("agent:7");
  await other.connect("bob");
  expect(await came).toEqual(["bob"]);
  const { users } = await client.request("presence:get", { room: "agent:7" });
  expect(users.map(({ userId, clients }) => [userId, clients])).toEqual([
    ["ann", 1],
    ["bob", 1],
  ]);
  const went = collects<unknown>(1, (done) => client.on("presence_leave", ({ userId }) => done(userId)));
  other.disconnect();
  expect(await went).toEqual(["bob"]);
});

test("tokens: unknown ones are refused, expiring ones are renewed in place", async () => {
  const { server, client } = start({
    user: (token) => (token.startsWith("good") ? { id: "ann" } : undefined),
  });
  let tokens = 0;
  await client.connect(() => `good-${++tokens}`);
  server.expireTokens();
  expect(await server.message("auth")).toMatchObject({ payload: { token: "good-2" } });
  const { client: wrong } = start({ user: () => undefined });
  await expect(wrong.connect("bad")).rejects.toMatchObject({ closeCode: 4501 });
});

test("settled: what was published has been heard", async () => {
  const { server, client } = start();
  const heard: unknown[] = [];
  client.on("*", ({ offset }) => heard.push(offset));
  client.joinRoom("agent:7");
  await client.connect("ann");
  for (let n = 0; n < 3; n++) server.publish("agent:7", "note", { n });
  expect(heard).toEqual([]);
  await server.settled();
  expect(heard).toEqual([1, 2, 3]);
});

test("close codes and a drain, as the client takes them", async () => {
  const { server, client } = start();
  await client.connect("ann");
  const back = reaches(client, "reconnecting");
  server.drain(1);
  expect(await back).toMatchObject({ code: 1012 });
  await reaches(client, "connected");
  const closed = reaches(client, "closed");
  server.close(4505, "disconnected");
  expect(await closed).toMatchObject({ code: 4505 });
});

describe("golden frames", () => {
  /** A bare socket: what the fake server says to these texts. */
  async function say(...texts: string[]): Promise<GoldenFrame[]> {
    const server = createFakeServer();
    const socket = new server.WebSocket(server.url, "osbackend.v1");
    const heard: GoldenFrame[] = [];
    socket.onmessage = ({ data }) => heard.push(...[JSON.parse(data as string)].flat());
    await new Promise((resolve) => {
      socket.onopen = resolve;
    });
    for (const text of texts) socket.send(text);
    // Every hop is a microtask.
    await new Promise((resolve) => setImmediate(resolve));
    return heard;
  }

  const connect = JSON.stringify({ type: "connect", payload: { protocol: 1, token: "ann" } });
  const texts = golden<Golden>("client_frames").map(({ name, frame }) => ({ name, frame }));

  test.each(texts.filter(({ frame }) => frame.type !== "connect"))(
    "$name is understood",
    async ({ frame }) => {
      const room = (frame.payload as { room?: string } | undefined)?.room;
      const before = frame.type === "leave" ? [JSON.stringify({ type: "join", payload: { room } })] : [];
      const heard = await say(connect, ...before, JSON.stringify(frame));
      const codes = heard.filter(({ type }) => type === "error").map(({ data }) => data?.code);
      const expected = { auth: ["unauthorized", "forbidden"] }[frame.type] ?? ["unknown_type"];
      expect(codes.filter((code) => !expected.includes(code as string))).toEqual([]);
      expect(heard.length).toBeGreaterThan(1);
    },
  );

  test.each(
    golden<{ name: string; text: string; malformed: boolean }>("bad_client_frames").filter(({ text }) => {
      try {
        return typeof (JSON.parse(text) as { type?: unknown } | null)?.type !== "string";
      } catch {
        return true;
      }
    }),
  )("$name is refused", async ({ text }) => {
    const heard = await say(connect, text);
    const errors = heard.filter(({ type }) => type === "error");
    // The members of an array are refused one by one, and an empty one has none.
    expect(errors.every(({ data }) => data?.code === "bad_request")).toBe(true);
    expect(errors.length > 0 || text.trim() === "[]").toBe(true);
  });

  test("each kind of frame that it sends has the fields of a golden one", async () => {
    const join = { type: "join", payload: { room: "agent:7" }, id: 1 };
    const heard = await say(
      connect,
      ...[
        join,
        { type: "publish", payload: { room: "agent:7", type: "note", data: { a: 1 } }, id: 2 },
        { type: "presence:get", payload: { room: "agent:7" }, id: 3 },
        { type: "history:get", payload: { room: "agent:7" }, id: 4 },
        { type: "metrics:get", id: 5 },
        { type: "heartbeat", id: 6 },
        { type: "auth", payload: { token: "ann" }, id: 7 },
        { type: "leave", payload: { room: "agent:7" }, id: 8 },
        { type: "leave", payload: { room: "agent:7" }, id: 9 },
      ].map((frame) => JSON.stringify(frame)),
    );
    const kinds = heard.map(({ type, eventId }) => (eventId === undefined ? type : "event"));
    expect([...kinds].sort()).toEqual(
      [
        ...["authenticated", "connection_established", "error", "event", "heartbeat", "history", "metrics"],
        ...["presence", "published", "room_joined", "room_left"],
      ].sort(),
    );
    const frames = golden<Golden>("server_frames").map(({ frame }) => frame);
    for (const frame of heard) {
      const same = frames.filter(({ type, eventId }) =>
        frame.eventId === undefined ? type === frame.type && eventId === undefined : eventId !== undefined,
      );
      for (const part of [(one: GoldenFrame) => one, (one: GoldenFrame) => one.data]) {
        // The data of an event is its own.
        if (frame.eventId !== undefined && part(frame) === frame.data) continue;
        const fields = same.map((one) => Object.keys(part(one) ?? {}));
        const known = new Set(fields.flat());
        const needed = [...known].filter((field) => fields.every((all) => all.includes(field)));
        const given = Object.keys(part(frame) ?? {});
        expect(
          given.filter((field) => !known.has(field)),
          `${frame.type}: not in the contract`,
        ).toEqual([]);
        expect(
          needed.filter((field) => !given.includes(field)),
          `${frame.type}: missing`,
        ).toEqual([]);
      }
    }
  });
});

test("under fake timers a client whose module is loaded connects, joins and hears without any going on", async () => {
  const first = createFakeServer();
  const loaded = createClient({ url: first.url, WebSocket: first.WebSocket });
  await loaded.connect("ann");
  loaded.disconnect();
  vi.useFakeTimers();
  try {
    const server = createFakeServer();
    const client = createClient({ url: server.url, WebSocket: server.WebSocket });
    const heard: unknown[] = [];
    client.joinRoom("agent:7").on("note", (data) => heard.push(data));
    await client.connect("ann");
    server.publish("agent:7", "note", { n: 1 });
    await server.settled();
    expect(heard).toEqual([{ n: 1 }]);
    client.disconnect();
  } finally {
    vi.useRealTimers();
  }
});
