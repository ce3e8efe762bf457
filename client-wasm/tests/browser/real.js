/** Against a real server: the same client, nothing injected but the means to cut its wire. */

import { assert, equal, open } from "./support.js";

let counter = 0;

/** A room of this test alone: the page may be run again on the same server. */
function freshRoom() {
  return `agent:wasm-${Date.now()}-${counter++}`;
}

/** A client, and a way to cut its connection that it doesn't know of. */
function start(make, { url, token, ...options }) {
  const sockets = [];
  class Wire extends WebSocket {
    constructor(address, protocols) {
      super(address, protocols);
      sockets.push(this);
    }
  }
  const it = open(make, { url, WebSocket: Wire, backoff: { initialMs: 50, jitter: 0 }, ...options }, token);
  it.client.connect();
  return { ...it, sockets };
}

async function publish(admin, room, n) {
  const id = admin.client.request("publish", { room, type: "wasm_test", data: { n } });
  const { ok, value } = await admin.reply(id);
  assert(ok, `published: ${JSON.stringify(value)}`);
  return value;
}

export async function connectsAndAuthenticates(make, { url, user }) {
  const it = start(make, { url, token: user });
  const { state } = await it.state("connected");
  assert(state.authenticated && state.userId && state.clientId && !state.resumed, JSON.stringify(state));
  equal(it.client.clientId, state.clientId);
  // The user's own room is joined without being asked for.
  await it.room(`user:${state.userId}`, "joined");
  it.client.disconnect();
  equal((await it.state("closed")).state, { status: "closed", reason: "disconnected" });
  it.client.free();
}

export async function anEventReachesTheRoom(make, { url, user, admin }) {
  const room = freshRoom();
  const reader = start(make, { url, token: user });
  const writer = start(make, { url, token: admin });
  reader.client.join(room, true);
  await reader.room(room, "joined");
  await writer.state("connected");
  const published = await publish(writer, room, 1);
  const { frame, first } = await reader.event((frame) => frame.room === room);
  equal([frame.type, frame.data, frame.offset, frame.eventId, first], ["wasm_test", { n: 1 }, published.offset, published.eventId, true]);
  reader.client.free();
  writer.client.free();
}

/** The demo feed emits each change of an agent into the agent's room and into the dashboard's. */
export async function oneEmissionInTwoRooms(make, { url, user }) {
  const reader = start(make, { url, token: user });
  const agents = Array.from({ length: 8 }, (_, index) => `agent:${index + 1}`);
  for (const room of ["dashboard:overview", ...agents]) reader.client.join(room, false);
  const again = await reader.seen.wait((item) => item.kind === "event" && !item.first, "an event that came before");
  const same = reader.events().filter(({ frame }) => frame.eventId === again.frame.eventId);
  equal(same.map(({ first }) => first), [true, false]);
  equal(same.map(({ frame }) => frame.room).sort(), [`agent:${again.frame.data.agentId}`, "dashboard:overview"]);
  reader.client.free();
}

export async function theSnapshotComesWithTheJoin(make, { url, user, admin }) {
  const agentId = `wasm-${Date.now()}-${counter++}`;
  const room = `agent:${agentId}`;
  const writer = start(make, { url, token: admin });
  for (const status of ["online", "busy"]) {
    const id = writer.client.request("publish", { room, type: "agent_status_change", data: { agentId, status } });
    assert((await writer.reply(id)).ok);
  }
  const reader = start(make, { url, token: user });
  reader.client.join(room, true);
  const { frame } = await reader.event((frame) => frame.room === room);
  equal([frame.snapshot, frame.data.status, frame.offset], [true, "busy", 2]);
  const { room: state } = await reader.room(room, "joined");
  equal([state.offset, state.recovered], [2, false]);
  reader.client.free();
  writer.client.free();
}

export async function requestsAreAnswered(make, { url, user }) {
  const it = start(make, { url, token: user });
  const room = freshRoom();
  it.client.join(room, true);
  await it.room(room, "joined");
  const presence = await it.reply(it.client.request("presence:get", { room }));
  assert(presence.ok && presence.value.users.length === 1, JSON.stringify(presence));
  const unknown = await it.reply(it.client.request("no_such_thing", {}));
  equal([unknown.ok, unknown.value.code], [false, "unknown_type"]);
  const forbidden = await it.reply(it.client.request("publish", { room, type: "x", data: {} }));
  equal([forbidden.ok, forbidden.value.code], [false, "forbidden"]);
  it.client.free();
}

export async function aRoomIsRefused(make, { url, user }) {
  const it = start(make, { url, token: user });
  await it.state("connected");
  it.client.join("user:somebody-else", true);
  equal((await it.room("user:somebody-else", "refused")).room.error.code, "forbidden");
  assert(!it.client.can("user:somebody-else", "join"));
  it.client.free();
}

export async function aBadTokenClosesForGood(make, { url }) {
  let asked = 0;
  const it = start(make, { url, token: () => `not.a.token${++asked}` });
  const { state } = await it.state("closed");
  equal([state.code, state.reason], [4501, "unauthorized"]);
  assert(/signed JWT/.test(state.message), `the server's own sentence: ${state.message}`);
  equal([asked, it.sockets.length], [3, 3]);
  it.client.free();
}

export async function whatWasMissedIsRecovered(make, { url, user, admin }) {
  const room = freshRoom();
  const reader = start(make, { url, token: user });
  const writer = start(make, { url, token: admin });
  reader.client.join(room, true);
  await reader.room(room, "joined");
  await publish(writer, room, 1);
  await reader.event((frame) => frame.data.n === 1);
  const { state: before } = await reader.state("connected");

  const lost = reader.state("reconnecting");
  reader.sockets[0].close();
  await lost;
  await publish(writer, room, 2);
  await publish(writer, room, 3);
  await reader.event((frame) => frame.data.n === 3);
  await publish(writer, room, 4);
  await reader.event((frame) => frame.data.n === 4);

  const mine = reader.events().filter(({ frame }) => frame.room === room);
  equal(mine.map(({ frame }) => [frame.data.n, frame.offset, frame.snapshot ?? false]), [1, 2, 3, 4].map((n) => [n, n, false]));
  const state = reader.client.state();
  equal([state.status, state.clientId, state.resumed], ["connected", before.clientId, true]);
  equal(reader.client.rooms().find((item) => item.room === room).recovered, true);
  reader.client.free();
  writer.client.free();
}

export async function whatWasSentOfflineArrives(make, { url, user, admin }) {
  const room = freshRoom();
  const reader = start(make, { url, token: user });
  reader.client.join(room, true);
  await reader.room(room, "joined");
  const writer = open(make, { url }, admin);
  const id = writer.client.request("publish", { room, type: "wasm_test", data: { n: 7 } });
  writer.client.connect();
  assert((await writer.reply(id)).ok);
  equal((await reader.event((frame) => frame.room === room)).frame.data, { n: 7 });
  reader.client.free();
  writer.client.free();
}
