/** The whole package on the built module, over real sockets: what a page does, and what a server may do to it. */
import { expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { RealtimeError } from "../src/errors.js";
import type { EventOf } from "../src/events.js";
import { type Action, type EvaluatedPolicy, SUBPROTOCOL } from "../src/generated/protocol.js";
import { collects, live, reaches } from "./live.js";
import { eventFrame, type ScriptedServer } from "./server.js";

test("connects with the subprotocol, one connect frame and the rooms asked for before", async () => {
  const { client, connect } = await live();
  const room = client.joinRoom("agent:7");
  const accepted = await connect("token-1");
  expect(accepted.subprotocol).toBe(SUBPROTOCOL);
  expect(accepted.connect).toMatchObject({
    type: "connect",
    payload: {
      protocol: 1,
      token: "token-1",
      batch: true,
      client: expect.stringMatching(/^@osbackend\/realtime \d/),
      schema: expect.stringMatching(/^[0-9a-f]{16}$/),
      rooms: [{ room: "agent:7" }],
    },
  });
  expect(client.state).toEqual({
    status: "connected",
    clientId: "client-1",
    authenticated: true,
    userId: "ann",
    role: "user",
    resumed: false,
  });
  expect(client.clientId).toBe("client-1");
  await vi.waitFor(() => expect(room.state).toMatchObject({ status: "joined", epoch: "epoch-1", offset: 0 }));
});

test("a batch: in order, each once, an event of two rooms once for the service", async () => {
  const { client, connect } = await live();
  const heard: string[] = [];
  client.on("agent_status_change", (data, meta) => heard.push(`service ${meta.room} ${data.status}`));
  client.joinRoom("agent:7").on("agent_status_change", (data) => heard.push(`agent ${data.status}`));
  const overview = client.joinRoom("dashboard:overview");
  overview.on("agent_status_change", (data) => heard.push(`overview ${data.status}`));
  const accepted = await connect();
  const events = collects<EventOf<"clip_played">>(1, (done) =>
    client.on("clip_played", (_, meta) => done(meta as never)),
  );
  const busy = {
    ...eventFrame("agent_status_change", { agentId: "7", status: "busy" }, "agent:7", 1),
    eventId: "e1",
  };
  accepted.send(
    busy,
    { ...busy, room: "dashboard:overview" },
    // Again: a duplicate that no listener may see.
    busy,
    { ...eventFrame("agent_status_change", { agentId: "7", status: "online" }, "agent:7", 2), eventId: "e2" },
    eventFrame("clip_played", { clipId: "c", plays: 1 }, "dashboard:overview", 2),
  );
  await events;
  expect(heard).toEqual([
    "service agent:7 busy",
    "agent busy",
    "overview busy",
    "service agent:7 online",
    "agent online",
  ]);
  expect(client.rooms).toMatchObject([
    { room: "agent:7", offset: 2 },
    { room: "dashboard:overview", offset: 2 },
  ]);
});

test("what the server answers to a connection reaches listeners, each time", async () => {
  const { client, connect } = await live();
  const greetings: unknown[] = [];
  client.on("connection_established", ({ rooms }) => greetings.push(["connection_established", rooms]));
  client.on("reconnected", ({ rooms, downtimeMs }) => greetings.push(["reconnected", rooms, downtimeMs]));
  client.joinRoom("agent:7");
  const accepted = await connect("token-1");
  await vi.waitFor(() => expect(greetings).toHaveLength(1));
  accepted.socket.terminate();
  await vi.waitFor(() => expect(greetings).toHaveLength(2));
  expect(greetings).toMatchObject([
    ["connection_established", [{ room: "agent:7", recovered: false }]],
    ["reconnected", [{ room: "agent:7", recovered: true, replayed: 0 }], 12],
  ]);
});

test("a lost connection: the session resumes, the stream goes on where it was", async () => {
  const { client, connect, server } = await live();
  const room = client.joinRoom("agent:7");
  const told: string[] = [];
  room.on("room", (state) => told.push(`${state.status} ${state.recovered}`));
  const first = await connect();
  const one = collects<unknown>(1, (done) => room.on("*", done));
  first.send(eventFrame("note", { n: 1 }, "agent:7", 1));
  await one;
  const [again, state] = await Promise.all([
    server.accepted(),
    reaches(client, "reconnecting").then((reconnecting) => {
      expect(reconnecting).toMatchObject({ attempt: 2, code: 1006 });
      expect(reconnecting.retryAtMs).toBeGreaterThan(Date.now() - 1000);
      expect(room.state.status).toBe("joining");
      return reaches(client, "connected");
    }),
    first.socket.terminate(),
  ]);
  expect(again.connect.payload).toMatchObject({
    resume: { clientId: "client-1", token: "resume-1" },
    rooms: [{ room: "agent:7", epoch: "epoch-1", offset: 1 }],
  });
  expect(state).toMatchObject({ resumed: true, downtimeMs: 12, clientId: "client-1" });
  const two = collects<unknown>(1, (done) => room.on("*", done));
  again.send(eventFrame("note", { n: 2 }, "agent:7", 2));
  expect(await two).toMatchObject([{ data: { n: 2 }, offset: 2 }]);
  expect(told).toEqual(["joined false", "joining false", "joined true"]);
});

test("requests: reply, refusal, time-out, and a loss while one is under way", async () => {
  const { client, connect, server } = await live();
  server.script.answer = ({ type, payload }) =>
    type === "metrics:get"
      ? { type: "metrics", data: { from: "a", to: "b", points: [], type: payload?.type } }
      : type === "publish"
        ? { type: "error", data: { code: "forbidden", message: "admins only" } }
        : undefined;
  const early = client.request("metrics:get", { type: "voice_call" });
  const accepted = await connect();
  expect(await early).toEqual({ from: "a", to: "b", points: [], type: "voice_call" });
  const refused = await client.emit("agent:7", "note", { text: "hi" }).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(RealtimeError);
  expect(refused).toMatchObject({ code: "forbidden", message: "admins only", messageType: "publish" });
  await expect(client.request("custom:slow", {}, { timeoutMs: 1 })).rejects.toMatchObject({
    code: "timeout",
  });
  const lost = client.request("custom:slow");
  accepted.next("custom:slow").then(() => accepted.socket.terminate());
  await expect(lost).rejects.toMatchObject({ code: "unavailable" });
});

test("a publish whose answer is lost is sent again with its key, and settles once", async () => {
  const { client, connect, server } = await live();
  const first = await connect();
  const again = server.accepted();
  const settled = vi.fn();
  const published = [1, 2].map((n) => client.emit("agent:7", "note", { n }).finally(settled));
  const ephemeral = client.emit("agent:7", "here", {}, { ephemeral: true });
  const own = client.request("publish", { room: "agent:7", type: "own", data: {}, idempotencyKey: "mine" });
  await vi.waitFor(() => expect(first.frames).toHaveLength(4));
  server.script.answer = ({ type, payload }) =>
    type === "publish"
      ? { type: "published", data: { room: payload?.room, offset: 1, epoch: "e", eventId: payload?.type } }
      : undefined;
  first.socket.terminate();
  await expect(ephemeral).rejects.toMatchObject({ code: "unavailable" });
  expect(await Promise.all([...published, own])).toMatchObject([
    { eventId: "note" },
    { eventId: "note" },
    { eventId: "own" },
  ]);
  const kept = first.frames.filter(({ payload }) => payload?.ephemeral !== true);
  expect((await again).frames).toEqual(kept);
  const keys = kept.map(({ payload }) => payload?.idempotencyKey);
  expect([new Set(keys).size, keys[2]]).toEqual([3, "mine"]);
  expect(settled).toHaveBeenCalledTimes(2);
});

test("a publish that can't be known to be stored fails as that", async () => {
  const { client, connect } = await live({ publishTimeoutMs: 50 });
  await expect(client.emit("agent:7", "note", {})).rejects.toMatchObject({ code: "timeout" });
  await connect();
  await expect(client.emit("agent:7", "note", {})).rejects.toMatchObject({ code: "outcome_unknown" });
  await expect(client.emit("agent:7", "note", {}, { timeoutMs: 1 })).rejects.toMatchObject({
    code: "outcome_unknown",
  });
});

test("what can't be sent is refused: a payload that is no object, one that is circular", async () => {
  const { client, connect } = await live();
  await connect();
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  await expect(client.request("custom:ask", circular)).rejects.toMatchObject({ code: "bad_request" });
  await expect(client.request("custom:ask", [1])).rejects.toMatchObject({
    code: "bad_request",
    message: "payload must be an object",
  });
});

test("a send from before the module is there that JSON can't hold is told, and nothing else suffers", async () => {
  const { client, connect } = await live();
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  const refused = collects<RealtimeError>(1, (listener) => client.on("error", listener));
  client.send("custom:bad", circular);
  client.send("custom:good", {});
  const accepted = await connect();
  expect(await refused).toMatchObject([{ code: "bad_request", messageType: "custom:bad" }]);
  expect(await accepted.next("custom:good")).toMatchObject({ payload: {} });
});

test("what should be text and isn't is refused, and never reaches the module's memory", async () => {
  const { client, connect } = await live({ backoff: { initialMs: 1, attempts: 2 } });
  const number = 7 as unknown as string;
  for (const token of [number, {} as string]) {
    const failed = client.connect(() => token);
    await expect(failed).rejects.toMatchObject({
      message: expect.stringContaining("the token must be a string"),
    });
  }
  const accepted = await connect();
  expect(client.joinRoom(number).state).toMatchObject({ status: "refused", error: { code: "bad_request" } });
  await expect(client.request(number)).rejects.toMatchObject({ code: "bad_request" });
  expect(() => client.send(number)).toThrow("type must be a string");
  expect(() => client.can(number, "join")).toThrow("room must be a string");
  client.send("custom:good", {});
  expect(await accepted.next("custom:good")).toMatchObject({ payload: {} });
});

test("a room of the greeting that this version can't read is let be", async () => {
  const { client, connect, server } = await live();
  const error = { code: "bad_request" as const, message: "no" };
  server.script.greeting = () => ({ rooms: [{ room: "no room", error }] });
  await connect();
  expect([client.state.status, client.rooms, server.connections.length]).toEqual(["connected", [], 1]);
});

test("sends wait while offline, in order; past the limit the oldest is refused", async () => {
  const { client, connect, server } = await live({ queueLimit: 2 });
  const first = await connect();
  const refused = vi.fn();
  client.on("error", refused);
  const reconnecting = reaches(client, "reconnecting");
  const again = server.accepted();
  first.socket.terminate();
  await reconnecting;
  for (const n of [1, 2, 3]) client.send(`custom:${n}`, { n });
  expect(refused.mock.calls).toMatchObject([[{ code: "limit_reached", messageType: "custom:1" }, undefined]]);
  const accepted = await again;
  await accepted.next("custom:3");
  expect(accepted.frames.map((frame) => frame.type)).toEqual(["custom:2", "custom:3"]);
});

test("what is sent while the socket closes is not lost: it waits for the next connection", async () => {
  let newest: WebSocket | undefined;
  class Watched extends WebSocket {
    constructor(url: string, protocols?: string) {
      super(url, protocols);
      newest = this;
    }
  }
  const { client, connect, server } = await live({ WebSocket: Watched });
  await connect();
  const next = server.accepted();
  newest?.close(4000, "cut");
  client.send("custom:late", { n: 1 });
  const answer = client.request("custom:ask");
  server.script.answer = ({ type }) =>
    type === "custom:ask" ? { type: "custom", data: { ok: true } } : undefined;
  expect(await (await next).next("custom:late")).toMatchObject({ payload: { n: 1 } });
  expect(await answer).toEqual({ ok: true });
});

test("a provider is asked before each connect, and again when the token expires", async () => {
  const { client, connect, server } = await live();
  let asked = 0;
  const first = await connect(async () => `a.token-${++asked}.c`);
  expect(first.connect.payload.token).toBe("a.token-1.c");
  const told = collects<unknown>(1, (done) => client.on("token_expiring", done));
  first.send({ type: "token_expiring", data: { expiresAt: "2026-01-01T00:00:00.000Z" } });
  await told;
  expect((await first.next("auth")).payload).toEqual({ token: "a.token-2.c" });
  const again = server.accepted();
  first.socket.close(4001, "token_expired");
  expect((await again).connect.payload.token).toBe("a.token-3.c");
});

test("a refused token closes for good; a fresh connect works", async () => {
  const { client, server } = await live();
  server.script.refuse = { code: 4501, reason: "unauthorized" };
  const error = await client.connect("bad").catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "unauthorized", closeCode: 4501 });
  expect(client.state).toEqual({ status: "closed", code: 4501, reason: "unauthorized" });
  delete server.script.refuse;
  await client.connect("good");
  expect(client.state.status).toBe("connected");
  expect(server.connections).toHaveLength(2);
});

test("handles share one join on the wire; leave, and a malformed name", async () => {
  const { client, connect } = await live();
  const accepted = await connect();
  const errors = vi.fn();
  client.on("error", errors);
  const a = client.joinRoom("agent:7", { snapshot: false });
  const b = client.joinRoom("agent:7");
  await accepted.next("join");
  a.leave();
  b.leave();
  await accepted.next("leave");
  expect(accepted.frames.map(({ type, payload }) => [type, payload])).toEqual([
    ["join", { room: "agent:7", snapshot: false }],
    ["leave", { room: "agent:7" }],
  ]);
  expect(client.joinRoom("no room").state).toMatchObject({
    status: "refused",
    error: { code: "bad_request" },
  });
  expect(errors).toHaveBeenCalledOnce();
});

test("a refused room is told by its state and by error", async () => {
  const { client, server } = await live();
  server.script.greeting = () => ({
    rooms: [{ room: "user:bob", error: { code: "forbidden", message: "not your room" } }],
  });
  const errors = collects<RealtimeError>(1, (done) => client.on("error", done));
  const room = client.joinRoom("user:bob");
  await client.connect("t");
  expect(await errors).toMatchObject([{ code: "forbidden", message: "not your room", room: "user:bob" }]);
  expect(room.state).toMatchObject({ status: "refused", error: { code: "forbidden" } });
});

test("a joined room tells how much of its snapshot is to come, until all of it is there", async () => {
  const { client, connect, server } = await live();
  server.script = { joined: () => ({ snapshot: 2, offset: 4 }) };
  const room = client.joinRoom("agent:7");
  const accepted = await connect();
  await vi.waitFor(() => expect(room.state).toMatchObject({ status: "joined", snapshotDue: 2 }));
  const due = () => client.rooms.map(({ snapshotDue }) => snapshotDue);
  for (const [offset, left] of [
    [1, 1],
    [4, undefined],
  ] as const) {
    const heard = collects(1, (done) => room.on("*", done));
    accepted.send({
      ...eventFrame("clip_played", { clipId: `${offset}`, plays: 1 }, "agent:7", offset),
      snapshot: true,
    });
    await heard;
    expect([due(), client.latest("agent:7")?.due]).toEqual([[left], left ?? 0]);
  }
});

test("can asks the policy that the server told for this user", async () => {
  const as = async (policy: EvaluatedPolicy | undefined) => {
    const { client, connect, server } = await live();
    server.script.greeting = () => (policy === undefined ? {} : { policy });
    expect(client.can("dashboard:overview", "join")).toBe(false);
    await connect();
    return [
      client.can("dashboard:overview", "join"),
      client.can("user:ann", "join"),
      client.can("user:bob", "join"),
      client.can("admin:broadcast", "publish"),
      client.can("no room", "join"),
    ];
  };
  const rooms = ["dashboard:overview", "admin:*", "user:ann"];
  const can: Action[] = ["join"];
  expect(await as({ rules: [{ rooms, can }] })).toEqual([true, true, false, false, false]);
  const all: Action[] = ["join", "publish", "presence", "history"];
  expect(await as({ rules: [{ rooms: ["*"], can: all }] })).toEqual([true, true, true, true, false]);
  expect(await as({ rules: [{ rooms: ["*"], can: all }], within: ["user:*"] })).toEqual([
    false,
    true,
    true,
    false,
    false,
  ]);
  expect(await as(undefined)).toEqual([false, false, false, false, false]);
});

test("a refreshed token's policy replaces the one of the greeting", async () => {
  const { client, connect, server } = await live();
  const policy = (can: Action[]): EvaluatedPolicy => ({ rules: [{ rooms: ["agent:*"], can }] });
  server.script.greeting = () => ({ policy: policy(["join"]) });
  const expiresAt = "2026-11-23T04:26:18.000Z";
  server.script.answer = ({ type }) =>
    type === "auth"
      ? {
          type: "authenticated",
          data: { userId: "ann", role: "user", expiresAt, policy: policy(["publish"]) },
        }
      : undefined;
  let asked = 0;
  const accepted = await connect(() => `a.token-${++asked}.c`);
  expect([client.can("agent:7", "join"), client.can("agent:7", "publish")]).toEqual([true, false]);
  accepted.send({ type: "token_expiring", data: { expiresAt } });
  await vi.waitFor(() =>
    expect([client.can("agent:7", "join"), client.can("agent:7", "publish")]).toEqual([false, true]),
  );
});

test("the room of the user, joined by the server, is listed and heard, and gone after logging out", async () => {
  const { client, connect, server } = await live();
  server.script.greeting = ({ token }) =>
    token === undefined
      ? {}
      : {
          rooms: [{ room: "user:ann", epoch: "e", offset: 0, recovered: false, replayed: 0, clientCount: 1 }],
        };
  const accepted = await connect("t");
  await vi.waitFor(() => expect(client.rooms).toMatchObject([{ room: "user:ann", status: "joined" }]));
  const heard = collects<unknown>(1, (done) => client.on("note", done));
  accepted.send(eventFrame("note", { n: 1 }, "user:ann", 1));
  expect(await heard).toEqual([{ n: 1 }]);
  await client.connect(null);
  expect(client.state).toMatchObject({ status: "connected", authenticated: false });
  expect(client.rooms).toEqual([]);
  expect(server.connections[1]?.connect.payload).not.toHaveProperty("resume");
});

test("disconnect says goodbye and stays closed; connect brings the rooms back", async () => {
  const { client, connect, server } = await live();
  client.joinRoom("agent:7");
  const accepted = await connect();
  const closed = new Promise((resolve) => accepted.socket.once("close", resolve));
  client.disconnect();
  expect(await closed).toBe(4000);
  expect(client.state).toEqual({ status: "closed", reason: "disconnected" });
  await expect(client.request("custom:ask")).rejects.toMatchObject({ code: "unavailable" });
  const [again] = await Promise.all([server.accepted(), client.connect()]);
  expect(again.connect.payload).toMatchObject({ token: "t", rooms: [{ room: "agent:7" }] });
});

test("listeners may call back into the client, from any event", async () => {
  const { client, connect } = await live();
  client.once("state", () => client.joinRoom("agent:1"));
  client.on("room", (state) => {
    if (state.room === "agent:1" && state.status === "joined") client.joinRoom("agent:2");
  });
  client.on("note", () => {
    client.send("custom:echo", { n: 1 });
    client.leaveRoom("agent:1");
  });
  const accepted = await connect();
  await accepted.next("join");
  await vi.waitFor(() => expect(client.roomState("agent:2")?.status).toBe("joined"));
  accepted.send(eventFrame("note", {}, "agent:2", 1));
  await Promise.all([accepted.next("custom:echo"), accepted.next("leave")]);
  expect(client.rooms.map((state) => state.room)).toEqual(["agent:2"]);
});

test("a client that disconnects inside of a batch hears nothing more of it", async () => {
  const { client, connect } = await live();
  client.joinRoom("agent:7");
  const accepted = await connect();
  const heard = vi.fn(() => client.disconnect());
  client.on("note", heard);
  const closed = reaches(client, "closed");
  accepted.send(eventFrame("note", { n: 1 }, "agent:7", 1), eventFrame("note", { n: 2 }, "agent:7", 2));
  await closed;
  expect(heard).toHaveBeenCalledOnce();
});

test("two clients are two connections", async () => {
  const one = await live();
  const two = await live();
  await Promise.all([one.connect("a"), two.connect("b")]);
  const tokens = ({ server }: { server: ScriptedServer }) =>
    server.connections.map((all) => all.connect.payload.token);
  expect([tokens(one), tokens(two)]).toEqual([["a"], ["b"]]);
});

test("presence: an answer and what follows it in its frame, and asked anew after a reconnect", async () => {
  const { client, connect, server } = await live();
  const room = client.joinRoom("agent:7");
  client.presence.watch("agent:7", () => {});
  const heard: string[] = [];
  room.on("presence_join", ({ userId, info }) => heard.push(`${userId} ${info?.name}`));
  const answer = (...users: string[]) => ({
    type: "presence",
    room: "agent:7",
    data: {
      room: "agent:7",
      users: users.map((userId) => ({ userId, clients: 1, joinedAt: "2026-01-01T00:00:00.000Z" })),
      anonymous: 1,
    },
  });
  const here = () => room.presence.users.map((user) => user.userId);
  const first = await connect();
  const { id, payload } = await first.next("presence:get");
  expect(payload).toEqual({ room: "agent:7" });
  const change = { room: "agent:7", userId: "bob", info: { name: "Bob" } };
  first.send({ ...answer("ann"), id }, { type: "presence_join", room: "agent:7", data: change });
  await vi.waitFor(() => expect(here()).toEqual(["ann", "bob"]));
  expect(room.presence).toMatchObject({ loading: false, anonymous: 1 });
  expect(heard).toEqual(["bob Bob"]);
  const [again] = await Promise.all([server.accepted(), first.socket.terminate()]);
  const asked = await again.next("presence:get");
  expect([here(), room.presence.loading]).toEqual([["ann", "bob"], true]);
  again.send({ ...answer("ann", "eve"), id: asked.id });
  await vi.waitFor(() => expect(here()).toEqual(["ann", "eve"]));
  again.send(answer("zoe"));
  await vi.waitFor(() => expect(here()).toEqual(["zoe"]));
});
