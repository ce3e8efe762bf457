/** What the browser tests are written with: a sink that can be waited on, and a WebSocket that the test itself serves. */

/** Fails a wait that nothing answers; not a pace: every wait ends with what it waits for. */
const PATIENCE_MS = 15_000;

export function assert(condition, message) {
  if (!condition) throw new Error(message ?? "assertion failed");
}

export function equal(actual, expected, message = "") {
  const [left, right] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (left !== right) throw new Error(`${message} expected ${right}, got ${left}`);
}

export function throws(action, pattern) {
  try {
    action();
  } catch (error) {
    assert(pattern.test(String(error)), `${error} is not ${pattern}`);
    return;
  }
  throw new Error(`nothing thrown, expected ${pattern}`);
}

/** Things that arrive one by one, for someone who waits for the one that fits. */
class Arrivals {
  all = [];
  #waiting = [];

  push(item) {
    this.all.push(item);
    this.#waiting = this.#waiting.filter(({ fits, resolve }) => {
      if (!fits(item)) return true;
      resolve(item);
      return false;
    });
  }

  /** The first from now on that fits, or the first at all when `past`. */
  wait(fits, what, past = false) {
    const found = past ? this.all.find(fits) : undefined;
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`waited in vain for ${what}; there was ${JSON.stringify(this.all)}`));
      }, PATIENCE_MS);
      this.#waiting.push({
        fits,
        resolve: (item) => {
          clearTimeout(timer);
          resolve(item);
        },
      });
    });
  }
}

/** A client with a sink that writes everything down. `token`: a value, a function that gives one, or undefined to leave the question open. */
export function open(make, options, token) {
  const seen = new Arrivals();
  const note = (kind, rest) => seen.push({ kind, ...rest });
  const sink = {
    needToken() {
      note("needToken", {});
      if (token !== undefined) client.setToken(typeof token === "function" ? token() : token);
    },
    state: (state) => note("state", { state }),
    event: (frame, first) => note("event", { frame, first }),
    system: (frame) => note("system", { frame }),
    room: (room) => note("room", { room }),
    reply: (id, ok, value) => note("reply", { id, ok, value }),
    sendRefused: (type, payload, error) => note("sendRefused", { type, payload, error }),
  };
  const client = make(options, sink);
  return {
    client,
    sink,
    seen,
    state: (status, past = true) => seen.wait((item) => item.kind === "state" && item.state.status === status, `state ${status}`, past),
    room: (name, status, past = true) =>
      seen.wait((item) => item.kind === "room" && item.room.room === name && item.room.status === status, `${name} ${status}`, past),
    reply: (id) => seen.wait((item) => item.kind === "reply" && item.id === id, `reply ${id}`, true),
    event: (fits) => seen.wait((item) => item.kind === "event" && fits(item.frame), "an event", true),
    events: () => seen.all.filter((item) => item.kind === "event"),
  };
}

/** A class of sockets of one test, which the test serves. */
export function fakeSockets() {
  const sockets = new Arrivals();
  let taken = 0;
  class FakeSocket {
    frames = new Arrivals();
    closedWith;
    readyState = WebSocket.CONNECTING;
    #read = 0;

    constructor(url, protocols) {
      this.url = url;
      this.protocols = protocols;
      sockets.push(this);
    }

    // The client's side.
    send(text) {
      for (const frame of [JSON.parse(text)].flat()) this.frames.push(frame);
    }
    close(code, reason) {
      this.closedWith = { code, reason };
      this.readyState = WebSocket.CLOSING;
    }

    // The test's side.
    accept() {
      this.readyState = WebSocket.OPEN;
      this.onopen?.(new Event("open"));
    }
    deliver(...messages) {
      this.text(JSON.stringify(messages.length === 1 ? messages[0] : messages));
    }
    text(data) {
      this.onmessage?.(new MessageEvent("message", { data }));
    }
    drop(code = 1006, reason = "") {
      this.readyState = WebSocket.CLOSED;
      this.onclose?.(new CloseEvent("close", { code, reason }));
    }
    /** The next frame that the client wrote. */
    async next() {
      const index = this.#read++;
      if (index < this.frames.all.length) return this.frames.all[index];
      return this.frames.wait(() => this.frames.all.length > index, `frame ${index}`);
    }
  }
  return {
    WebSocket: FakeSocket,
    /** The next socket that the client opens, or has opened. */
    async next() {
      const index = taken++;
      if (index < sockets.all.length) return sockets.all[index];
      return sockets.wait(() => sockets.all.length > index, `socket ${index}`);
    },
    count: () => sockets.all.length,
  };
}

const timestamp = "2026-11-23T04:00:00.000Z";

export function joined(room, offset, recovered = false, epoch = "e") {
  return { room, epoch, offset, recovered, replayed: 0, clientCount: 1 };
}

/** What the server's default policy lets a user do. */
export const policy = {
  rules: [{ rooms: ["dashboard:overview", "agent:*", "user:u1"], can: ["join", "presence", "history"] }],
};

export function greeting(rooms = [], more = {}) {
  return {
    type: "connection_established",
    data: {
      clientId: "c1",
      authenticated: true,
      userId: "u1",
      role: "user",
      protocol: 1,
      schema: "s",
      heartbeatIntervalMs: 25_000,
      limits: { maxMessageBytes: 65_536, maxRooms: 100, messageRate: 0, messageBurst: 0, joinRate: 20, joinBurst: 100 },
      resume: { token: "r1", expiresAt: timestamp },
      rooms,
      policy,
      ...more,
    },
    timestamp,
  };
}

export function system(type, data, id) {
  return id === undefined ? { type, data, timestamp } : { type, data, timestamp, id };
}

export function event(room, offset, more = {}) {
  return { type: "tick", data: { n: offset }, room, offset, eventId: `${room}/${offset}`, timestamp, ...more };
}

/** From `connect()` to a greeted session with these rooms. */
export async function live(make, rooms, options = {}) {
  const sockets = fakeSockets();
  const it = open(make, { url: "ws://test/ws", WebSocket: sockets.WebSocket, backoff: { initialMs: 1, jitter: 0 }, ...options }, "t");
  for (const { room } of rooms) it.client.join(room, true);
  it.client.connect();
  const socket = await sockets.next();
  socket.accept();
  const connect = await socket.next();
  socket.deliver(greeting(rooms));
  await it.state("connected");
  return { ...it, sockets, socket, connect };
}

/** A failure as text, with its place. */
export function describe(error) {
  return error instanceof Error ? `${error}\n${error.stack}` : String(error);
}
