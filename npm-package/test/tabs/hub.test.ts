/** The leader's hub alone: what it tells tabs and the server, in virtual time. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Hub } from "../../src/tabs/hub.js";
import type { ClientFrame, FromLeader } from "../../src/tabs/messages.js";
import type { RealSocket } from "../../src/tabs/upstream.js";

class FakeSocket implements RealSocket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: unknown = null;
  readonly written: ClientFrame[] = [];
  send(text: string): void {
    this.written.push(JSON.parse(text) as ClientFrame);
  }
  close(): void {
    this.readyState = 3;
  }
  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  say(...frames: object[]): void {
    this.onmessage?.({ data: JSON.stringify(frames.length === 1 ? frames[0] : frames) });
  }
  types(): string[] {
    return this.written.map(({ type }) => type);
  }
  /** The id of the last message of this type. */
  idOf(type: string): number | undefined {
    return this.written.findLast((frame) => frame.type === type)?.id;
  }
}

const GREETING = {
  clientId: "c-1",
  authenticated: true,
  userId: "ann",
  expiresAt: "2030-01-01T00:00:00.000Z",
  protocol: 1,
  schema: "s",
  heartbeatIntervalMs: 25_000,
  limits: { messageRate: 10, messageBurst: 10 },
  resume: { token: "r-1" },
  rooms: [],
};

const JOINED = { room: "x:1", epoch: "e", recovered: true, clientCount: 1 };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function hub() {
  const posts: FromLeader[] = [];
  const gone = new Map<string, () => void>();
  const sockets: FakeSocket[] = [];
  const hub = new Hub({
    id: "me",
    post: (message) => posts.push(message),
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    watch: (tab, call) => {
      gone.set(tab, call);
      return () => gone.delete(tab);
    },
    wake: () => {},
    visible: () => true,
  });
  const hello = (from: string, payload: Record<string, unknown> = {}) =>
    hub.take({
      kind: "hello",
      from,
      socket: `${from}/1`,
      connect: { type: "connect", id: 1, payload },
      awayMs: 7,
      visible: true,
    });
  const frame = (from: string, sent: ClientFrame) =>
    hub.take({ kind: "frame", from, socket: `${from}/1`, frame: sent });
  /** What a tab was told, apart from what all were. */
  const told = (tab: string) =>
    posts.flatMap((post) =>
      post.kind === "text" && post.to?.includes(`${tab}/1`) ? [JSON.parse(post.text) as object].flat() : [],
    );
  const toAll = () =>
    posts.flatMap((post) => (post.kind === "text" && post.to === undefined ? [post.text] : []));
  /** Connected, with these other tabs. */
  const live = (...tabs: string[]) => {
    hello("me", { token: "secret" });
    const [socket] = sockets as [FakeSocket];
    socket.open();
    socket.say({ type: "connection_established", id: socket.idOf("connect"), data: GREETING });
    for (const tab of tabs) hello(tab);
    return socket;
  };
  return { hub, posts, sockets, gone, hello, frame, told, toAll, live };
}

test("who comes later is greeted by the leader, as the same client", () => {
  const { live, hello, told } = hub();
  live("a");
  hello("b", { resume: { clientId: "c-1", token: "r-0" } });
  expect(told("a")).toMatchObject([
    { type: "connection_established", id: 1, data: { clientId: "c-1", rooms: [] } },
  ]);
  expect(told("b")).toMatchObject([{ type: "reconnected", id: 1, data: { clientId: "c-1", downtimeMs: 7 } }]);
});

test("after a takeover a tab goes on with the leader's replay where it misses no more than that, and else asks", () => {
  const { hello, told, toAll, sockets } = hub();
  hello("me", { token: "secret", rooms: [{ room: "x:1", epoch: "e", offset: 3 }] });
  for (const [tab, epoch, offset] of [
    ["ahead", "e", 4],
    ["behind", "e", 2],
    ["elsewhere", "f", 4],
  ] as const)
    hello(tab, { rooms: [{ room: "x:1", epoch, offset }] });
  const [socket] = sockets as [FakeSocket];
  socket.open();
  const rooms = [{ ...JOINED, offset: 5, replayed: 2 }];
  socket.say({ type: "reconnected", id: socket.idOf("connect"), data: { ...GREETING, rooms } });
  expect(told("ahead")).toMatchObject([
    { data: { rooms: [{ room: "x:1", epoch: "e", offset: 5, recovered: true, replayed: 1 }] } },
  ]);
  for (const tab of ["behind", "elsewhere"]) expect(told(tab)).toMatchObject([{ data: { rooms: [] } }]);
  const event = (offset: number) => ({ type: "t", data: {}, room: "x:1", eventId: `e${offset}`, offset });
  socket.say(event(4), event(5), event(6));
  for (const tab of ["me", "ahead"])
    expect(told(tab).slice(1)).toMatchObject([{ offset: 4 }, { offset: 5 }, { offset: 6 }]);
  for (const tab of ["behind", "elsewhere"]) expect(told(tab)).toHaveLength(1);
  hello("later", { rooms: [{ room: "x:1", epoch: "e", offset: 6 }] });
  expect(told("later")).toMatchObject([{ data: { rooms: [{ offset: 6, replayed: 0 }] } }]);
  expect(toAll()).toEqual([]);
});

test("a newer resume token reaches those that come after it", () => {
  const { live, hello, told, toAll } = hub();
  const socket = live("a");
  socket.say({ type: "heartbeat", data: { serverTime: "…", resume: { token: "r-2" } } });
  hello("b");
  expect(toAll()).toEqual([
    JSON.stringify({ type: "heartbeat", data: { serverTime: "…", resume: { token: "r-2" } } }),
  ]);
  expect(told("b")).toMatchObject([{ data: { resume: { token: "r-2" } } }]);
});

test("the rooms of a tab that is gone stay for a moment, and are left when nobody comes for them", () => {
  const { live, frame, gone, hello } = hub();
  const socket = live("a", "b");
  for (const room of ["x:1", "y:1"]) frame("a", { type: "join", id: 2, payload: { room } });
  gone.get("a")?.();
  vi.advanceTimersByTime(4_000);
  expect(socket.types()).not.toContain("leave");
  hello("c");
  frame("c", { type: "join", id: 2, payload: { room: "x:1" } });
  vi.advanceTimersByTime(4_000);
  expect(socket.written.filter(({ type }) => type === "leave")).toMatchObject([{ payload: { room: "y:1" } }]);
});

test("a refused join of the last one in a room takes the server out of it", () => {
  const { live, frame, told } = hub();
  const socket = live("a", "b");
  frame("a", { type: "join", id: 2, payload: { room: "x:1" } });
  socket.say({
    type: "room_joined",
    id: socket.idOf("join"),
    room: "x:1",
    data: { room: "x:1", offset: 0, replayed: 0 },
  });
  frame("b", { type: "join", id: 9, payload: { room: "x:1" } });
  frame("a", { type: "leave", id: 3, payload: { room: "x:1" } });
  expect(told("a").at(-1)).toMatchObject({ type: "room_left", id: 3, data: { reason: "requested" } });
  expect(socket.types()).not.toContain("leave");
  socket.say({ type: "error", id: socket.idOf("join"), data: { code: "rate_limited" } });
  expect(told("b").at(-1)).toMatchObject({ type: "error", id: 9 });
  expect(socket.types().at(-1)).toBe("leave");
});

test("a replay goes to who asked, and what is newer to all in the room", () => {
  const { live, frame, told, toAll } = hub();
  const socket = live("a");
  const event = (offset: number) => ({ type: "t", data: {}, room: "x:1", eventId: `e${offset}`, offset });
  const joined = (offset: number, replayed: number) => ({
    type: "room_joined",
    id: socket.idOf("join"),
    room: "x:1",
    data: { ...JOINED, offset, replayed },
  });
  frame("me", { type: "join", id: 2, payload: { room: "x:1" } });
  socket.say(joined(3, 0));
  frame("a", { type: "join", id: 2, payload: { room: "x:1", epoch: "e", offset: 1 } });
  socket.say(joined(3, 2), event(2), event(3), event(4), { ...event(2), snapshot: true });
  expect(told("a").slice(1)).toMatchObject([{ id: 2 }, { offset: 2 }, { offset: 3 }, { snapshot: true }]);
  expect(toAll()).toEqual([JSON.stringify(event(4))]);
});

test("tabs that the server says nothing to hear from the leader, so that they know it lives", () => {
  const { live, frame, toAll } = hub();
  const socket = live("a", "b");
  const ask = () => {
    frame("a", { type: "echo", id: 5 });
    socket.say({ type: "echo", id: socket.idOf("echo"), data: {} });
  };
  vi.advanceTimersByTime(11_000);
  ask();
  expect(toAll().map((text) => (JSON.parse(text) as ClientFrame).type)).toEqual(["heartbeat"]);
  ask();
  expect(toAll()).toHaveLength(1);
});

test("a newer token of another tab is answered here, and makes the leader ask for its own", () => {
  const { live, frame, told } = hub();
  const socket = live("a");
  frame("a", { type: "auth", id: 4, payload: { exp: 1 } });
  expect(told("a").at(-1)).toMatchObject({ type: "authenticated", id: 4, data: { userId: "ann" } });
  expect(told("me").at(-1)).toMatchObject({ type: "connection_established" });
  frame("a", { type: "auth", id: 5, payload: { exp: Date.parse("2030-01-02T00:00:00Z") / 1000 } });
  expect(told("me").at(-1)).toMatchObject({ type: "token_expiring" });
  frame("me", { type: "auth", id: 6, payload: { token: "newer" } });
  const policy = { rules: [{ rooms: ["*"], can: ["join"] }] };
  socket.say({ type: "authenticated", id: socket.idOf("auth"), data: { userId: "ann", policy, rooms: [] } });
  expect(told("a").at(-1)).toEqual({ type: "authenticated", data: { userId: "ann", policy } });
});

test("the server's own ending of a membership reaches who was in the room", () => {
  const { live, frame, told, toAll } = hub();
  const socket = live("a", "b");
  frame("a", { type: "join", id: 2, payload: { room: "x:1" } });
  socket.say({ type: "room_left", room: "x:1", data: { room: "x:1", reason: "permission_lost" } });
  expect(told("a").at(-1)).toMatchObject({ type: "room_left" });
  expect(told("b")).toHaveLength(1);
  expect(toAll()).toEqual([]);
});

test("a room that the server joins by itself is every tab's", () => {
  const { live, toAll } = hub();
  const socket = live("a");
  const event = { type: "t", data: {}, room: "x:1", eventId: "e1", offset: 1 };
  socket.say({ type: "room_joined", room: "x:1", data: { ...JOINED, offset: 0, replayed: 0 } }, event);
  expect(toAll().flatMap((text) => JSON.parse(text) as ClientFrame[])).toMatchObject([
    { type: "room_joined" },
    { type: "t" },
  ]);
});

test("all tabs together write no faster than the server lets one connection", () => {
  const { live, frame } = hub();
  const socket = live("a", "b");
  for (let n = 0; n < 10; n++) for (const tab of ["a", "b"]) frame(tab, { type: "note", id: n });
  frame("a", { type: "heartbeat", id: 99 });
  // Nine at once, and one for the question whether the server lives, which waits for nothing.
  expect(socket.written.slice(1).map(({ type }) => type)).toEqual([...Array(9).fill("note"), "heartbeat"]);
  vi.advanceTimersByTime(1_000);
  expect(socket.written.length).toBeLessThanOrEqual(1 + 9 + 1 + 10);
  vi.advanceTimersByTime(1_000);
  expect(socket.written.filter(({ type }) => type === "note")).toHaveLength(20);
});

test("a drained server's last guests wait for the next connection", () => {
  const { live, hello, told, posts, sockets, hub: leader } = hub();
  const socket = live();
  socket.say({ type: "draining", data: { reconnectAfterMs: 5_000 } });
  hello("a");
  expect(told("a")).toEqual([]);
  leader.take({ kind: "bye", from: "me", socket: "me/1", goodbye: false });
  expect(posts.at(-1)).toMatchObject({ kind: "closed", to: ["a/1"], code: 1006 });
  expect(socket.readyState).toBe(3);
  expect(sockets).toHaveLength(1);
});
