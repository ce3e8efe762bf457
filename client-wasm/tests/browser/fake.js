/** Against a WebSocket that the test serves: everything that a good server does rarely, or never. */

import { assert, equal, event, fakeSockets, greeting, joined, live, open, system, throws } from "./support.js";

export async function handshake(make) {
  const { socket, connect, client, seen } = await live(make, [joined("agent:7", 5)], { client: "tests 1", batch: true });
  equal([socket.url, socket.protocols], ["ws://test/ws", "osbackend.v1"]);
  const { schema, ...payload } = connect.payload;
  assert(/^[0-9a-f]{16}$/.test(schema), schema);
  equal(payload, { protocol: 1, token: "t", rooms: [{ room: "agent:7" }], batch: true, client: "tests 1" });
  equal(
    seen.all.map((item) => item.kind),
    ["state", "needToken", "state", "room", "system"],
  );
  equal(client.state(), { status: "connected", clientId: "c1", authenticated: true, userId: "u1", role: "user", resumed: false });
  equal(client.rooms(), [{ room: "agent:7", status: "joined", epoch: "e", offset: 5, recovered: false, clientCount: 1 }]);
  equal([client.clientId, client.can("agent:7", "join"), client.can("agent:7", "publish"), client.can("user:u1", "join")], ["c1", true, false, true]);
  client.connect();
  client.free();
  equal(socket.closedWith, { code: 1000, reason: "normal" });
}

export async function eventsInOrderOnce(make) {
  const { socket, client, events } = await live(make, [joined("agent:7", 5), joined("dashboard:overview", 9)]);
  const both = { eventId: "same" };
  socket.deliver(event("agent:7", 4, { snapshot: true }), event("agent:7", 6, both), event("agent:7", 6, both), event("dashboard:overview", 10, both));
  socket.deliver(event("agent:7", 9, { skipped: 2 }));
  socket.deliver({ ...event("agent:7"), eventId: "ephemeral" });
  socket.deliver(event("agent:8", 1));
  equal(
    events().map(({ frame, first }) => [frame.room, frame.offset ?? null, first]),
    [["agent:7", 4, true], ["agent:7", 6, true], ["dashboard:overview", 10, false], ["agent:7", 9, true], ["agent:7", null, true]],
  );
  equal(events()[0].frame, event("agent:7", 4, { snapshot: true }));
  client.free();
}

export async function aSnapshotAgainIsFirstInItsRoom(make) {
  const { socket, client, events } = await live(make, [joined("agent:7", 5)]);
  socket.deliver(event("agent:7", 6));
  client.leave("agent:7");
  client.join("agent:7", true);
  const [leave, join] = [await socket.next(), await socket.next()];
  equal([leave.type, join.type], ["leave", "join"]);
  socket.deliver(system("room_left", { room: "agent:7", reason: "requested" }, leave.id));
  socket.deliver(system("room_joined", joined("agent:7", 6), join.id));
  socket.deliver(event("agent:7", 6, { snapshot: true }), event("agent:7", 7));
  equal(
    events().map(({ frame, first }) => [frame.offset, first]),
    [[6, true], [6, true], [7, true]],
  );
  client.free();
}

export async function manyEventIdsAreRemembered(make) {
  const { socket, client, events } = await live(make, [joined("agent:7", 0), joined("dashboard:overview", 0)]);
  const batch = (room, from, to) => Array.from({ length: to - from }, (_, index) => event(room, from + index + 1, { eventId: `e${from + index + 1}` }));
  socket.deliver(...batch("agent:7", 0, 1000));
  socket.deliver(...batch("dashboard:overview", 0, 1000));
  equal(events().filter(({ first }) => first).length, 1000);
  socket.deliver(...batch("agent:7", 1000, 50_000));
  socket.deliver(...batch("dashboard:overview", 1000, 50_000));
  // Bounded: by now the oldest are forgotten, which shows an event twice rather than never.
  assert(events().filter(({ first }) => first).length > 50_000);
  equal(events().length, 100_000);
  client.free();
}

export async function whatOneRoomAloneBroughtIsRememberedToo(make) {
  const { socket, client, events } = await live(make, [joined("agent:7", 0), joined("dashboard:overview", 0)]);
  const ids = (room, from, to) => Array.from({ length: to - from }, (_, index) => event(room, from + index + 1, { eventId: `e${from + index + 1}` }));
  // Alone from the beginning, and alone again after the other one had its say.
  for (const [from, to] of [[0, 20_000], [20_000, 60_000]]) {
    socket.deliver(...ids("agent:7", from, to));
    const [first, ...rest] = ids("dashboard:overview", to - 500, to);
    const before = events().length;
    socket.deliver({ ...first, skipped: to }, ...rest);
    equal(events().slice(before).filter(({ first }) => !first).length, 500);
  }
  equal(events().length, 61_000);
  client.free();
}

export async function aGapHeals(make) {
  const { socket, client, events, room } = await live(make, [joined("agent:7", 5)]);
  socket.deliver(event("agent:7", 8));
  const join = await socket.next();
  equal(join, { type: "join", id: join.id, payload: { room: "agent:7", epoch: "e", offset: 5 } });
  socket.deliver(system("room_joined", joined("agent:7", 8, true), join.id), event("agent:7", 6), event("agent:7", 7), event("agent:7", 8));
  equal(events().map(({ frame }) => frame.offset), [6, 7, 8]);
  equal((await room("agent:7", "joined")).room.status, "joined");
  client.free();
}

export async function requestsAndAnswers(make) {
  const { socket, client, reply, seen } = await live(make, []);
  const good = client.request("history:get", { room: "agent:7" });
  const bad = client.request("nonsense", undefined);
  const late = client.request("slow", {}, 20);
  client.send("note", { a: 1 });
  equal(await socket.next(), { type: "history:get", id: good, payload: { room: "agent:7" } });
  equal(await socket.next(), { type: "nonsense", id: bad });
  await socket.next();
  equal(await socket.next(), { type: "note", payload: { a: 1 } });
  socket.deliver(system("history", { events: [] }, good), system("error", { code: "unknown_type", message: "m", retryAfterMs: 5 }, bad));
  const { ok, value } = await reply(good);
  equal([ok, value], [true, { events: [] }]);
  equal((await reply(bad)).value, { code: "unknown_type", message: "m", retryAfterMs: 5 });
  equal((await reply(late)).value.code, "timeout");
  socket.deliver(system("slow", {}, late), system("presence_join", { room: "agent:7", userId: "x" }));
  equal(seen.all.filter((item) => item.kind === "reply").length, 3);
  equal(seen.all.at(-1).frame.type, "presence_join");
  client.free();
}

export async function inFlightFailsAtADrop(make) {
  const { socket, client, reply } = await live(make, []);
  const id = client.request("x", {});
  await socket.next();
  socket.drop();
  equal((await reply(id)).value.code, "unavailable");
  client.free();
}

export async function theSocketDropsAndComesBack(make) {
  const { socket, sockets, client, state, events } = await live(make, [joined("agent:7", 5)]);
  socket.deliver(event("agent:7", 6));
  const before = Date.now();
  socket.drop(1006);
  const { state: waiting } = await state("reconnecting");
  equal([waiting.attempt, waiting.code, waiting.reason], [2, 1006, "connection lost"]);
  assert(Math.abs(waiting.retryAtMs - before) < 5_000, `a date: ${waiting.retryAtMs}`);
  const again = await sockets.next();
  again.accept();
  const connect = await again.next();
  equal(connect.payload.resume, { clientId: "c1", token: "r1" });
  equal(connect.payload.rooms, [{ room: "agent:7", epoch: "e", offset: 6 }]);
  again.deliver({ ...greeting([joined("agent:7", 8, true)], { downtimeMs: 12 }), type: "reconnected" }, event("agent:7", 7), event("agent:7", 8));
  const { status, resumed, downtimeMs } = client.state();
  equal([status, resumed, downtimeMs], ["connected", true, 12]);
  equal(events().map(({ frame }) => frame.offset), [6, 7, 8]);
  // The old socket is not heard any more.
  socket.deliver(event("agent:7", 9));
  equal(events().length, 3);
  client.free();
}

/** One refused token says little: the question is put again. Three different answers that are all refused are the end. */
export async function refusedForGood(make) {
  const sockets = fakeSockets();
  let asked = 0;
  const options = { url: "ws://test/ws", WebSocket: sockets.WebSocket, backoff: { initialMs: 1, jitter: 0 } };
  const it = open(make, options, () => `t${++asked}`);
  it.client.connect();
  const request = it.client.request("x", {});
  for (const token of ["t1", "t2", "t3"]) {
    const socket = await sockets.next();
    socket.accept();
    equal((await socket.next()).payload.token, token);
    socket.deliver(system("error", { code: "unauthorized", message: "bad token" }));
    socket.drop(4501, "unauthorized");
  }
  const { state } = await it.state("closed");
  equal([state.code, state.reason, state.message], [4501, "unauthorized", "bad token"]);
  equal((await it.reply(request)).ok, false);
  equal([asked, sockets.count()], [3, 3]);
  it.client.free();
}

export async function offlineTheQueueIsBounded(make) {
  const sockets = fakeSockets();
  const it = open(make, { url: "ws://test/ws", WebSocket: sockets.WebSocket, queueLimit: 2 }, "t");
  it.client.send("a", { n: 1 });
  const request = it.client.request("b", {});
  it.client.send("c", {});
  const refused = it.seen.all.at(-1);
  equal([refused.kind, refused.type, refused.payload, refused.error.code], ["sendRefused", "a", { n: 1 }, "limit_reached"]);
  it.client.connect();
  const socket = await sockets.next();
  socket.accept();
  await socket.next();
  socket.deliver(greeting());
  equal([(await socket.next()).id, (await socket.next()).type], [request, "c"]);
  it.client.disconnect();
  equal((await it.state("closed")).state, { status: "closed", reason: "disconnected" });
  equal((await it.reply(request)).value.code, "unavailable");
  it.client.send("d", undefined);
  equal(it.seen.all.at(-1).error.code, "unavailable");
  it.client.free();
}

export async function noTokenCounts(make) {
  const sockets = fakeSockets();
  const it = open(make, { url: "ws://test/ws", WebSocket: sockets.WebSocket, backoff: { attempts: 2, initialMs: 1 } });
  it.client.connect();
  it.client.tokenFailed("signed out");
  equal((await it.state("reconnecting")).state.reason, "no token: signed out");
  await it.seen.wait(() => it.seen.all.filter((item) => item.kind === "needToken").length === 2, "a second question");
  it.client.setToken(null);
  const socket = await sockets.next();
  socket.accept();
  assert(!("token" in (await socket.next()).payload));
  socket.drop(1006);
  const { state } = await it.state("closed");
  assert(state.reason.startsWith("gave up"), state.reason);
  it.client.free();
}

export async function theTokenIsRefreshedInPlace(make) {
  const { socket, client, seen } = await live(make, []);
  const asked = () => seen.all.filter((item) => item.kind === "needToken").length;
  equal(asked(), 1);
  socket.deliver(system("token_expiring", { expiresAt: "2026-11-23T04:01:00.000Z" }));
  equal(asked(), 2);
  const auth = await socket.next();
  equal([auth.type, auth.payload], ["auth", { token: "t" }]);
  socket.deliver(system("authenticated", { userId: "u1", role: "admin", expiresAt: "2026-11-23T05:01:00.000Z", policy: { rules: [{ rooms: ["*"], can: ["join", "publish"] }] } }, auth.id));
  equal([client.state().role, client.can("agent:7", "publish")], ["admin", true]);
  client.free();
}

/** Listeners that throw are the page's business; collects what the page would see. */
async function pageErrors(action) {
  const errors = [];
  const catcher = (error) => {
    errors.push(String(error.error?.message));
    error.preventDefault();
    error.stopImmediatePropagation();
  };
  globalThis.addEventListener("error", catcher, true);
  try {
    await action();
  } finally {
    globalThis.removeEventListener("error", catcher, true);
  }
  return errors;
}

export async function listenersMayThrow(make) {
  const errors = await pageErrors(async () => {
    const { socket, client, sink, events } = await live(make, [joined("agent:7", 0)]);
    const note = sink.event;
    sink.event = (frame, first) => {
      note(frame, first);
      throw new Error(`listener ${frame.offset}`);
    };
    sink.room = () => {
      throw new Error("room listener");
    };
    socket.deliver(event("agent:7", 1), event("agent:7", 2));
    client.join("agent:8", true);
    const join = await socket.next();
    socket.deliver(system("room_joined", joined("agent:8", 0), join.id), event("agent:8", 1));
    equal(events().length, 3);
    equal(client.rooms().map(({ status }) => status), ["joined", "joined"]);
    client.free();
  });
  equal(errors, ["listener 1", "listener 2", "room listener", "listener 1"]);
}

export async function listenersMayCallBack(make) {
  const { socket, client, sink, events, seen } = await live(make, [joined("agent:7", 0)]);
  const note = sink.event;
  sink.event = (frame, first) => {
    note(frame, first);
    if (frame.offset === 1) {
      client.join("agent:8", true);
      client.request("x", {});
      client.rooms();
    }
    if (frame.offset === 2) client.leave("agent:7");
  };
  socket.deliver(event("agent:7", 1), event("agent:7", 2), event("agent:7", 3));
  equal(events().length, 2);
  equal([(await socket.next()).type, (await socket.next()).type, (await socket.next()).type], ["join", "x", "leave"]);
  sink.state = (state) => {
    seen.push({ kind: "state", state });
    if (state.status === "reconnecting") client.disconnect();
  };
  socket.drop();
  equal(client.state(), { status: "closed", reason: "disconnected" });
  client.free();
}

export async function freedInTheMiddleOfABatch(make) {
  const { socket, client, sink, events } = await live(make, [joined("agent:7", 0)]);
  const note = sink.event;
  sink.event = (frame, first) => {
    note(frame, first);
    client.free();
  };
  socket.deliver(event("agent:7", 1), event("agent:7", 2), system("draining", { reconnectAfterMs: 1 }));
  socket.deliver(event("agent:7", 2));
  equal(events().length, 1);
  equal(socket.closedWith, { code: 1000, reason: "normal" });
}

export async function whatIsNotTheProtocolIsDropped(make) {
  for (const data of ["{", "7", "null", '"text"', '[{"type":5}]', '{"data":{}}', '{"type":"room_joined","data":{"room":7}}', new Blob(["x"])]) {
    const { socket, client, state } = await live(make, []);
    socket.text(data);
    assert((await state("reconnecting")).state.reason.includes("osbackend.v1"), String(data));
    equal(socket.closedWith.code, 4500);
    client.free();
  }
}

export async function nullIsAsGoodAsLeftOut(make) {
  const { socket, client, seen } = await live(make, [joined("agent:7", 5)]);
  const nothing = { ...system("presence_join", { room: "agent:7" }), room: "agent:7", id: null, eventId: null };
  socket.deliver(nothing, event("agent:7", 6));
  equal(seen.all.slice(-2).map((item) => item.kind), ["system", "event"]);
  client.free();
}

export async function mistakesOfTheCaller(make) {
  const sink = new Proxy({}, { get: () => () => {} });
  throws(() => make({}, sink), /url/);
  throws(() => make({ url: "ws://x", requestTimeoutMs: "soon" }, sink), /requestTimeoutMs/);
  throws(() => make({ url: "ws://x", backoff: { initialMs: -5 } }, sink), /initialMs/);
  throws(() => make(undefined, sink), /option/);
  const client = make({ url: "ws://x", batch: undefined, backoff: { factor: 1.5 } }, sink);
  throws(() => client.join("no colon", true), /prefix:id/);
  throws(() => client.join("A:b", true), /prefix/);
  throws(() => client.request("x", 5), /object/);
  throws(() => client.send("x", [1]), /object/);
  throws(() => client.send("x", { big: 1n }), /BigInt/);
  const cycle = {};
  cycle.cycle = cycle;
  throws(() => client.request("x", cycle), /circular/i);
  client.leave("no colon");
  equal([client.can("no colon", "join"), client.can("agent:7", "dance"), client.clientId], [false, false, undefined]);
  equal(client.state(), { status: "idle" });
  client.free();
}

export async function anAddressThatIsNone(make) {
  const errors = await pageErrors(async () => {
    const it = open(make, { url: "ftp://test", backoff: { attempts: 1 } }, "t");
    it.client.connect();
    assert((await it.state("closed")).state.reason.includes("gave up"));
    it.client.free();
  });
  equal(errors.length, 1);
}

export async function thePageComesBack(make) {
  const { socket, sockets, client, state } = await live(make, [], { backoff: { initialMs: 3_600_000, maxMs: 3_600_000 } });
  globalThis.dispatchEvent(new Event("pageshow"));
  equal((await socket.next()).type, "heartbeat");
  socket.drop();
  await state("reconnecting");
  globalThis.dispatchEvent(new Event("online"));
  await sockets.next();
  client.free();
  // Freed: nobody listens.
  globalThis.dispatchEvent(new Event("online"));
  equal(sockets.count(), 2);
}
