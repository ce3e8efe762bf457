/** A client on the built WebAssembly module, and a scripted server for it; both end with the test. */
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import type { RealtimeClient } from "../src/client.js";
import { createClient } from "../src/index.js";
import type { ClientOptions, ConnectionState, TokenSource } from "../src/types.js";
import { type Accepted, ScriptedServer } from "./server.js";

export async function live(options: ClientOptions = {}) {
  const server = await ScriptedServer.start();
  const client = createClient({
    url: server.url,
    WebSocket,
    backoff: { initialMs: 1, maxMs: 5, attempts: 0 },
    ...options,
  });
  onTestFinished(() => {
    client.disconnect();
    server.stop();
  });
  return {
    server,
    client,
    /** Connects; what the server has of it. */
    async connect(token: TokenSource = "t"): Promise<Accepted> {
      const [accepted] = await Promise.all([server.accepted(), client.connect(token)]);
      return accepted;
    },
  };
}

/** The next state of this status. */
export function reaches<S extends ConnectionState["status"]>(
  client: RealtimeClient,
  status: S,
): Promise<ConnectionState & { status: S }> {
  return new Promise((resolve) => {
    const off = client.on("state", (state) => {
      if (state.status !== status) return;
      off();
      resolve(state as ConnectionState & { status: S });
    });
  });
}

/** Resolves when the listener was called `times` times, with its first arguments. */
export function collects<T>(
  times: number,
  begin: (listener: (value: T) => void) => () => void,
): Promise<T[]> {
  return new Promise((resolve) => {
    const all: T[] = [];
    const end = begin((value) => {
      all.push(value);
      if (all.length < times) return;
      queueMicrotask(() => end());
      resolve(all);
    });
  });
}
