/** A core without a connection: it records what the client asks, and the test says what happens. */

import { vi } from "vitest";
import { RealtimeClient } from "../src/client.js";
import type { Core, CoreFactory, CoreOptions, Sink } from "../src/core.js";
import type { EventFrame } from "../src/generated/protocol.js";
import type { ClientOptions, ConnectionState, RoomState } from "../src/types.js";

export type Called = [method: string, ...args: unknown[]];

export class FakeCore implements Core {
  readonly calls: Called[] = [];
  readonly options: CoreOptions;
  readonly sink: Sink;
  clientId: string | undefined;
  current: ConnectionState = { status: "idle" };
  live: RoomState[] = [];
  isTokenFixed = false;
  /** Runs inside of `request`, before the id is given back. */
  onRequest: ((id: number) => void) | undefined;
  #nextId = 1;
  #offset = 0;

  constructor(options: CoreOptions, sink: Sink) {
    this.options = options;
    this.sink = sink;
  }

  connect(): void {
    this.calls.push(["connect"]);
    if (this.current.status === "connected" || this.current.status === "connecting") return;
    this.tell({ status: "connecting", attempt: 1 });
    this.sink.needToken();
  }
  disconnect(): void {
    this.calls.push(["disconnect"]);
    this.tell({ status: "closed", code: 1000, reason: "disconnected" });
  }
  wake(): void {
    this.calls.push(["wake"]);
  }
  setToken(token: string | null): void {
    this.calls.push(["setToken", token]);
  }
  tokenFailed(message: string): void {
    this.calls.push(["tokenFailed", message]);
  }
  tokenExpired(): void {
    this.calls.push(["tokenExpired"]);
    this.tell({
      status: "reconnecting",
      attempt: 1,
      code: 4001,
      reason: "token_expired",
      message: "expired",
    });
  }
  fixToken(fixed: boolean): void {
    this.isTokenFixed = fixed;
  }
  join(room: string, snapshot: boolean): void {
    this.calls.push(["join", room, snapshot]);
    if (!room.includes(":")) throw new Error(`${room} is no room name: write prefix:id`);
    this.live = [...this.live.filter((state) => state.room !== room), { room, status: "joining" }];
  }
  leave(room: string): void {
    this.calls.push(["leave", room]);
    this.live = this.live.filter((state) => state.room !== room);
  }
  seek(room: string, epoch: string, offset: number): void {
    this.calls.push(["seek", room, epoch, offset]);
  }
  request(type: string, payload: unknown, timeoutMs?: number, retry?: boolean): number {
    this.calls.push(["request", type, payload, timeoutMs, ...(retry ? ["retry"] : [])]);
    const id = this.#nextId++;
    this.onRequest?.(id);
    return id;
  }
  send(type: string, payload: unknown): void {
    this.calls.push(["send", type, payload]);
  }
  can(room: string, action: string): boolean {
    return action === "join" && room === "dashboard:overview";
  }
  rooms(): RoomState[] {
    return this.live;
  }
  state(): ConnectionState {
    return this.current;
  }
  free(): void {
    this.calls.push(["free"]);
  }

  /** What was called, but for the token. */
  get asked(): Called[] {
    return this.calls.filter(([method]) => method !== "setToken");
  }
  count(method: string): number {
    return this.calls.filter(([name]) => name === method).length;
  }
  tell(state: ConnectionState): void {
    this.current = state;
    this.sink.state(state);
  }
  connected(userId = "u"): void {
    this.clientId = "c1";
    this.tell({ status: "connected", clientId: "c1", authenticated: true, userId, resumed: false });
  }
  joined(room: string): void {
    this.room({ room, status: "joined", epoch: "e", offset: 0, recovered: false, clientCount: 1 });
  }
  room(state: RoomState): void {
    this.live = [...this.live.filter((other) => other.room !== state.room), state];
    this.sink.room(state);
  }
  /** The connection is lost: memberships have to be won again, those of the server's own are gone with it. */
  lost(...dropped: string[]): void {
    this.live = this.live
      .filter((state) => !dropped.includes(state.room))
      .map((state) => ({ ...state, status: "joining" }));
    this.tell({ status: "reconnecting", attempt: 2, retryAtMs: 0, code: 1006, reason: "connection lost" });
  }
  event(type: string, data: Record<string, unknown>, room = "dashboard:overview", first = true): EventFrame {
    this.#offset += 1;
    const frame = {
      type,
      data,
      room,
      offset: this.#offset,
      eventId: `e${this.#offset}`,
      timestamp: "2026-01-01T00:00:00.000Z",
    };
    this.sink.event(frame, first);
    return frame;
  }
}

/** A client over fake cores; `load` can be held back or made to fail. */
export function fakeClient(options: ClientOptions = { url: "ws://h/ws" }) {
  const cores: FakeCore[] = [];
  const loads: { succeed(): void; fail(error: Error): void }[] = [];
  const load = () =>
    new Promise<CoreFactory>((resolve, reject) => {
      const factory: CoreFactory = (coreOptions, sink) => {
        const core = new FakeCore(coreOptions, sink);
        cores.push(core);
        return core;
      };
      loads.push({ succeed: () => resolve(factory), fail: reject });
    });
  // What checks events is loaded by a real import, which takes longer than the promises that tests wait for.
  // Tokens of these tests are short texts.
  const WebSocket = Object.assign(class {}, { takesAnyToken: true });
  const client = new RealtimeClient({ validate: "off", WebSocket, ...options }, load);
  return {
    client,
    cores,
    loads,
    /** Connects and lets it happen. */
    async live(token: string | null = null): Promise<FakeCore> {
      const connected = client.connect(token);
      loads.at(-1)?.succeed();
      await settled();
      // With `validate: "strict"` the checker is awaited too.
      await vi.dynamicImportSettled();
      const core = cores.at(-1) as FakeCore;
      core.connected();
      await connected;
      return core;
    },
  };
}

/** Lets every promise that can go on do so. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
