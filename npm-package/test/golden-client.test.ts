/** Every frame that the SDK writes equals its golden form. */
import { describe, expect, test } from "vitest";
import type { Publish } from "../src/generated/protocol.js";
import { type Golden, type GoldenFrame, golden } from "./golden.js";
import { collects, live, reaches } from "./live.js";
import { type ClientFrame, eventFrame } from "./server.js";

const frames = golden<Golden>("client_frames");

/** The frame of this name. */
function named(name: string): GoldenFrame {
  const found = frames.find((golden) => golden.name === name);
  if (found === undefined) throw new Error(`no golden frame is called ${name}`);
  return found.frame;
}

/** Without the id, which is the SDK's own number. */
function body({ type, payload }: ClientFrame | GoldenFrame) {
  return { type, payload: payload ?? {} };
}

/** Without the key that the SDK gives to a publish that has none. */
function withoutOwnKey({ type, payload }: ReturnType<typeof body>) {
  const { idempotencyKey, ...rest } = payload as Record<string, unknown>;
  return { type, payload: /^[0-9a-z.]+-\d+$/.test(String(idempotencyKey)) ? rest : payload };
}

test("connect, full", async () => {
  const frame = named("connect, full");
  const { client, connect, server } = await live();
  server.script.greeting = () => ({
    clientId: "c-1",
    resume: { token: "r-1", expiresAt: "2026-11-23T03:56:18.042Z" },
    rooms: [
      { room: "dashboard:overview", epoch: "e1", offset: 41, recovered: false, replayed: 0, clientCount: 1 },
    ],
  });
  client.joinRoom("dashboard:overview");
  const accepted = await connect((frame.payload as { token: string }).token);
  const reconnecting = reaches(client, "reconnecting");
  const again = server.accepted();
  accepted.socket.terminate();
  await reconnecting;
  client.joinRoom("agent:7");
  const { connect: written } = await again;
  const rooms = [...(written.payload.rooms ?? [])].sort((a, b) => b.room.localeCompare(a.room));
  // The fingerprint is that of the contract as it is built, the golden one is an example.
  expect(written.payload.schema).toMatch(/^[0-9a-f]{16}$/);
  expect(
    body({ type: written.type, payload: { ...written.payload, rooms, schema: "d08d3f16376a834f" } }),
  ).toEqual(body(frame));
});

test("connect, minimal: nothing that is not set is written", async () => {
  const { connect } = await live({ batch: false });
  const { connect: written } = await connect(null);
  const { client, schema, ...payload } = written.payload;
  expect([typeof client, typeof schema]).toEqual(["string", "string"]);
  expect(payload).toEqual(named("connect, minimal").payload);
});

test("auth", async () => {
  const { client, connect } = await live();
  const accepted = await connect(null);
  await client.connect("t");
  expect(body(await accepted.next("auth"))).toEqual(body(named("auth")));
});

test("join, minimal, and leave", async () => {
  const { client, connect } = await live();
  const accepted = await connect();
  client.joinRoom("agent:7");
  expect(body(await accepted.next("join"))).toEqual(body(named("join, minimal")));
  client.leaveRoom("agent:7");
  expect(body(await accepted.next("leave"))).toEqual(body(named("leave")));
});

test("join of a percent-encoded user", async () => {
  const frame = named("join of a percent-encoded user");
  const { client, connect } = await live();
  const accepted = await connect();
  client.joinRoom((frame.payload as { room: string }).room);
  expect(body(await accepted.next("join"))).toEqual(body(frame));
});

// What is written from a position: after a gap the stream is asked for again.
test.each([
  ["join from a position", 12, false],
  ["join from before the first event", 0, true],
])("%s", async (name, offset, snapshot) => {
  const { client, connect, server } = await live();
  const room = "dashboard:overview";
  server.script.greeting = () => ({
    rooms: [{ room, epoch: "e1", offset, recovered: false, replayed: 0, clientCount: 1 }],
  });
  const joined = collects<unknown>(1, (done) =>
    client.on("room", (state) => state.status === "joined" && done(state)),
  );
  client.joinRoom(room, { snapshot });
  const accepted = await connect();
  await joined;
  accepted.send(eventFrame("note", {}, room, offset + 2));
  expect(body(await accepted.next("join"))).toEqual(body(named(name)));
});

describe("requests and publishing", () => {
  const own = ["connect", "auth", "join", "leave"];
  const asked = frames.filter(({ frame }) => !own.includes(frame.type));
  test.each(asked)("$name", async ({ frame }) => {
    const { client, connect, server } = await live();
    server.script.answer = ({ type }) => ({ type: "answer", data: { to: type } });
    const accepted = await connect();
    let answer: unknown;
    if (frame.type === "publish") {
      const { room, type, data, ...options } = frame.payload as unknown as Publish;
      answer = await client.emit(room, type as "unknown", data, options);
    } else {
      answer = await client.request(frame.type as "unknown", frame.payload as object);
    }
    expect(answer).toEqual({ to: frame.type });
    expect(accepted.frames.map(body).map(withoutOwnKey)).toEqual([withoutOwnKey(body(frame))]);
  });

  test("without an answer", async () => {
    const { client, connect } = await live();
    const accepted = await connect();
    client.send("ping");
    client.send("heartbeat");
    await accepted.next("heartbeat");
    expect(accepted.frames).toEqual([{ type: "ping" }, { type: "heartbeat" }]);
  });
});
