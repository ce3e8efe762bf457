/** A `WebSocket` class that calls its listeners inside of its own methods: the client goes on by its usual rules. */
import { expect, onTestFinished, test, vi } from "vitest";
import { createClient } from "../src/index.js";

const GREETING = {
  type: "connection_established",
  data: {
    clientId: "c",
    authenticated: false,
    protocol: 1,
    schema: "",
    heartbeatIntervalMs: 25_000,
    limits: { maxMessageBytes: 65_536, maxRooms: 100, messageRate: 50, messageBurst: 100, joinRate: 20 },
    rooms: [],
  },
};

/** Opens by itself. `failing` sockets, the first ones, close while they are written to, and say so at once. */
function socketClass(failing: number) {
  let made = 0;
  return class Synchronous {
    static made = () => made;
    readyState = 0;
    onopen: ((event: unknown) => void) | null = null;
    onclose: ((event: unknown) => void) | null = null;
    onmessage: ((event: unknown) => void) | null = null;
    readonly #fails: boolean;

    constructor() {
      made += 1;
      this.#fails = made <= failing;
      queueMicrotask(() => {
        this.readyState = 1;
        this.onopen?.({});
      });
    }

    send(text: string): void {
      if (this.#fails) {
        this.readyState = 3;
        this.onclose?.({ code: 1006, reason: "" });
        return;
      }
      const { id, type } = JSON.parse(text) as { id?: unknown; type: string };
      if (type !== "connect") return;
      const frame = { ...GREETING, id, timestamp: new Date().toISOString() };
      this.onmessage?.({ data: JSON.stringify(frame) });
    }

    close(code = 1000, reason = ""): void {
      this.readyState = 3;
      this.onclose?.({ code, reason });
    }
  };
}

function start(failing: number) {
  const Socket = socketClass(failing);
  const client = createClient({
    url: "ws://fake.invalid/ws",
    WebSocket: Socket as unknown as typeof WebSocket,
    backoff: { initialMs: 1, maxMs: 5 },
  });
  onTestFinished(() => client.disconnect());
  client.on("error", () => {});
  return { client, Socket };
}

test("a socket that closes inside of send() is a lost connection, and the next one is used", async () => {
  const { client, Socket } = start(2);
  await client.connect(null);
  expect(client.state.status).toBe("connected");
  expect(Socket.made()).toBe(3);
});

test("a socket that closes inside of close() ends once", async () => {
  const { client } = start(0);
  await client.connect(null);
  const states: string[] = [];
  client.on("state", ({ status }) => states.push(status));
  client.disconnect();
  await vi.waitFor(() => expect(states).toEqual(["closed"]));
});
