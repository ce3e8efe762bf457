/** Every golden frame of a server goes through the real dispatch to whom it concerns. */
import { describe, expect, test } from "vitest";
import { RealtimeError } from "../src/errors.js";
import type { Greeting, RoomJoined } from "../src/generated/protocol.js";
import type { ConnectionState } from "../src/types.js";
import { type Golden, type GoldenCloseCode, type GoldenFrame, golden } from "./golden.js";
import { collects, live, reaches } from "./live.js";

const frames = golden<Golden>("server_frames").map(({ name, frame }) => ({ name, frame }));

type Kind = "event" | "greeting" | "authenticated" | "room" | "error" | "reply" | "system" | "silent";

/** The request that each reply answers. */
const REQUESTS: Record<string, string> = {
  presence: "presence:get",
  history: "history:get",
  metrics: "metrics:get",
  published: "publish",
  heartbeat: "heartbeat",
  "order:refreshed": "order:refresh",
};

function kindOf({ type, eventId, id }: GoldenFrame): Kind {
  if (eventId !== undefined) return "event";
  if (type === "connection_established" || type === "reconnected") return "greeting";
  if (type === "authenticated") return "authenticated";
  if (type === "room_joined" || type === "room_left") return "room";
  if (type === "error") return "error";
  if (type === "heartbeat" && id === undefined) return "silent";
  return id === undefined ? "system" : "reply";
}

const of = (kind: Kind) => frames.filter(({ frame }) => kindOf(frame) === kind);

test("every golden frame is of a kind that is tested here", () => {
  const kinds: Kind[] = ["event", "greeting", "authenticated", "room", "error", "reply", "system", "silent"];
  expect(kinds.flatMap((kind) => of(kind)).length).toBe(frames.length);
  for (const kind of kinds) expect(of(kind).length, kind).toBeGreaterThan(0);
  for (const { name, frame } of of("reply")) expect(REQUESTS, name).toHaveProperty([frame.type]);
});

describe("events", () => {
  test.each(of("event"))("$name", async ({ frame }) => {
    const { client, connect, server } = await live();
    const room = frame.room as string;
    // The stream stands just before it; a snapshot is of what lies behind.
    const before = (frame.offset ?? 1) - (frame.snapshot ? 0 : 1 + (frame.skipped ?? 0));
    server.script.joined = () => ({ offset: before });
    const handle = client.joinRoom(room);
    const accepted = await connect();
    const heard = Promise.all([
      collects<unknown>(1, (done) => client.on(frame.type as "unknown", (data, meta) => done([data, meta]))),
      collects<unknown>(1, (done) => handle.on(frame.type as "unknown", (data, meta) => done([data, meta]))),
      collects<unknown>(1, (done) => client.on("*", done)),
    ]);
    accepted.send(frame);
    expect(await heard).toEqual([[[frame.data, frame]], [[frame.data, frame]], [frame]]);
  });
});

describe("greetings", () => {
  test.each(of("greeting"))("$name", async ({ frame }) => {
    const { client, connect, server } = await live();
    const golden = frame.data as unknown as Greeting;
    // The SDK never asks for a malformed name, so no server has one to refuse.
    const greeting = { ...golden, rooms: golden.rooms.filter(({ room }) => room.includes(":")) };
    server.script.greeting = () => greeting;
    for (const { room } of greeting.rooms) if (!room.startsWith("user:")) client.joinRoom(room);
    client.on("error", () => {});
    let accepted = await connect();
    if (frame.type === "reconnected") {
      const [again] = await Promise.all([
        server.accepted(),
        reaches(client, "connected"),
        accepted.socket.terminate(),
      ]);
      accepted = again;
    }
    const { clientId, authenticated, userId, role, downtimeMs } = greeting;
    const expected = { status: "connected", clientId, authenticated, userId, role, downtimeMs };
    expect(client.state).toEqual({ ...expected, resumed: downtimeMs !== undefined } satisfies
      | ConnectionState
      | object);
    await settledRooms(client, greeting.rooms.length);
    for (const result of greeting.rooms) {
      const state = client.roomState(result.room);
      if ("error" in result) {
        expect(state).toMatchObject({ status: "refused", error: { code: result.error.code } });
      } else {
        expect(state).toMatchObject({
          status: "joined",
          epoch: result.epoch,
          clientCount: result.clientCount,
        });
      }
    }
  });
});

/** Waits until no room is being joined any more. */
async function settledRooms(
  client: Awaited<ReturnType<typeof live>>["client"],
  count: number,
): Promise<void> {
  const settled = () => {
    const { rooms } = client.getSnapshot();
    return rooms.length >= count && rooms.every((state) => state.status !== "joining");
  };
  if (settled()) return;
  await new Promise<void>((resolve) => {
    const end = client.subscribe(() => {
      if (!settled()) return;
      end();
      resolve();
    });
  });
}

describe("answers to auth", () => {
  test.each(of("authenticated"))("$name", async ({ frame }) => {
    const { client, connect, server } = await live();
    server.script.answer = ({ type }) => (type === "auth" ? frame : undefined);
    await connect(null);
    const connected = reaches(client, "connected");
    await client.connect("t");
    const {
      userId,
      role,
      rooms = [],
    } = frame.data as { userId: string; role?: string; rooms?: RoomJoined[] };
    expect(await connected).toMatchObject({ authenticated: true, userId });
    expect((await connected).role).toBe(role);
    await settledRooms(client, rooms.length);
    expect(client.rooms.map(({ room, offset }) => [room, offset])).toEqual(
      rooms.map(({ room, offset }) => [room, offset]),
    );
  });
});

describe("rooms", () => {
  test.each(of("room"))("$name", async ({ frame }) => {
    const { client, connect, server } = await live();
    const room = frame.room as string;
    const told = (times: number) => collects<unknown>(times, (done) => client.on("room", done));
    if (frame.type === "room_joined") {
      const joined = frame.data as unknown as RoomJoined;
      server.script.answer = ({ type }) => (type === "join" ? frame : undefined);
      await connect();
      const states = told(1);
      client.joinRoom(room);
      await states;
      // Nothing was here to be recovered, so the stream counts from before what is replayed.
      const offset = joined.offset - joined.replayed;
      expect(client.roomState(room)).toMatchObject({
        status: "joined",
        epoch: joined.epoch,
        offset,
        recovered: false,
      });
    } else if (frame.id === undefined) {
      client.joinRoom(room);
      const first = told(1);
      const accepted = await connect();
      await first;
      const errors = collects<RealtimeError>(1, (done) => client.on("error", done));
      accepted.send(frame);
      await errors;
      const code = frame.data?.reason === "permission_lost" ? "forbidden" : "not_joined";
      expect(client.roomState(room)).toMatchObject({ status: "refused", error: { code } });
    } else {
      server.script.answer = ({ type }) => (type === "leave" ? frame : undefined);
      const handle = client.joinRoom(room);
      const first = told(1);
      const accepted = await connect();
      await first;
      handle.leave();
      await accepted.next("leave");
      const after = collects<unknown>(1, (done) => client.on("marker", done));
      accepted.send({ type: "marker", data: {} });
      await after;
      expect(client.rooms).toEqual([]);
    }
  });
});

describe("errors", () => {
  test.each(of("error"))("$name", async ({ frame }) => {
    const { client, connect, server } = await live();
    const body = frame.data as { code: string; message: string; retryAfterMs?: number; room?: string };
    let error: unknown;
    if (frame.id === undefined) {
      const accepted = await connect();
      const errors = collects<RealtimeError>(1, (done) => client.on("error", done));
      accepted.send(frame);
      [error] = await errors;
    } else {
      server.script.answer = () => frame;
      await connect();
      error = await client.request("custom:ask").catch((thrown: unknown) => thrown);
    }
    expect(error).toBeInstanceOf(RealtimeError);
    const { code, message, retryAfterMs } = error as RealtimeError;
    expect({ code, message, retryAfterMs }).toEqual({
      ...body,
      room: undefined,
      retryAfterMs: body.retryAfterMs,
    });
  });
});

describe("replies", () => {
  test.each(of("reply"))("$name", async ({ frame }) => {
    const { client, connect, server } = await live();
    server.script.answer = () => frame;
    await connect();
    expect(await client.request(REQUESTS[frame.type] as string, {})).toEqual(frame.data);
  });
});

describe("system messages", () => {
  test.each(of("system"))("$name", async ({ frame }) => {
    const { client, connect } = await live();
    if (frame.room !== undefined) client.joinRoom(frame.room);
    const accepted = await connect();
    const heard = [collects<unknown>(1, (done) => client.on(frame.type as "unknown", done))];
    if (frame.room !== undefined) {
      const handle = client.joinRoom(frame.room);
      heard.push(collects<unknown>(1, (done) => handle.on(frame.type as "unknown", done)));
    }
    accepted.send(frame);
    for (const data of await Promise.all(heard)) expect(data).toEqual([frame.data]);
    if (frame.type === "draining") {
      // A slot is a promise: nothing closes before it.
      expect(client.state.status).toBe("connected");
    }
  });
});

describe("what only keeps the connection alive", () => {
  test.each(of("silent"))("$name", async ({ frame }) => {
    const { client, connect } = await live();
    const accepted = await connect();
    const heard: string[] = [];
    client.on("heartbeat", () => heard.push("heartbeat"));
    const after = collects<unknown>(1, (done) => client.on("marker", done));
    accepted.send(frame, { type: "marker", data: {} });
    await after;
    expect(heard).toEqual([]);
    expect(client.state.status).toBe("connected");
  });
});

describe("close codes", () => {
  // These three a socket can't send: they stand for what the browser itself saw.
  const unsent = [1005, 1006, 1015];
  test.each(golden<GoldenCloseCode>("close_codes"))("$code $reason: $reconnect", async (entry) => {
    const { client, connect, server } = await live();
    let asked = 0;
    const accepted = await connect(() => `a.token-${++asked}.c`);
    // A function whose token was refused is asked again.
    const ends = entry.reconnect === "no" && entry.code !== 4501;
    const next = reaches(client, ends ? "closed" : "reconnecting");
    const again = server.accepted();
    if (!unsent.includes(entry.code)) accepted.socket.close(entry.code, entry.reason);
    else if (entry.code === 1005) accepted.socket.close();
    else accepted.socket.terminate();
    expect(await next).toMatchObject({ code: entry.code === 1015 ? 1006 : entry.code });
    if (ends) expect(asked).toBe(1);
    else expect((await again).connect.payload.token).toBe("a.token-2.c");
  });
});
