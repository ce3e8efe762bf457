/**
 * A tab among those that share: who leads is who holds the lock, and whoever leads has the hub.
 *
 * A tab that is gone, however it went, has lost its locks: the browser sees to that, so nobody needs a timer to notice.
 */
import type { Channel, TabEnvironment } from "./environment.js";
import { Hub } from "./hub.js";
import { type ClientFrame, type FromLeader, isForLeader, type ToLeader } from "./messages.js";
import type { TabSocket } from "./socket.js";
import { GOODBYE, type RealSocket } from "./upstream.js";

/** What a group needs of its tab. */
export interface GroupHost {
  readonly environment: TabEnvironment;
  /** A new socket to the server. */
  open(): RealSocket;
  /** Lets the core try now, should it be waiting for its next attempt. */
  wake(): void;
  /** The browser refuses locks to this page. */
  refused(): void;
}

/** What a core said first on a socket. */
export interface Introduction {
  /** With the token. */
  connect: ClientFrame;
  awayMs: number;
}

const ABNORMAL = 1006;
/** With this a core gives up a connection that is silent (§6). */
const NO_HEARTBEAT = 4004;

/** One tab's membership in the group, from its first socket until `leave`. */
export class Group {
  readonly name: string;
  readonly id: string = globalThis.crypto.randomUUID();
  readonly #host: GroupHost;
  readonly #channel: Channel;
  readonly #left = new AbortController();
  #release: () => void = () => {};
  /** Settles when the locks that are held are to be let go. */
  readonly #leaving = new Promise<void>((resolve) => {
    this.#release = resolve;
  });
  /** Until the tab's own lock is held: only then others can notice that it is gone. */
  readonly #noticed: Promise<void>;
  #hub: Hub | undefined;
  /** How often the lead is held: for a moment twice, while a tab steals it that just got it. */
  #held = 0;
  #socket: TabSocket | undefined;
  #introduction: Introduction | undefined;
  /** The core has disconnected, and doesn't come back. */
  #goodbye = false;

  constructor(name: string, host: GroupHost) {
    this.name = name;
    this.#host = host;
    this.#channel = host.environment.channel(name);
    this.#channel.onmessage = ({ data }) => {
      if (isForLeader(data)) this.#hub?.take(data);
      else this.#take(data);
    };
    this.#noticed = new Promise((resolve) => {
      this.#lock(this.#lifeOf(this.id), {}, () => {
        resolve();
        return this.#leaving;
      });
    });
    this.#stand();
  }

  /** Whether the connection to the server is this tab's. */
  get leads(): boolean {
    return this.#hub !== undefined;
  }

  /** A socket of the core wants to be connected; the one before it is closed. */
  enter(socket: TabSocket, introduction: Introduction): void {
    this.#socket = socket;
    this.#goodbye = false;
    this.#introduction = introduction;
    this.#noticed.then(() => this.#hello());
  }

  /** The core wrote something. */
  send(socket: TabSocket, frame: ClientFrame): void {
    this.#say({ kind: "frame", from: this.id, socket: socket.key, frame });
  }

  /** The core closed its socket. */
  ended(socket: TabSocket, code: number | undefined): void {
    this.#goodbye = code === GOODBYE;
    this.#say({ kind: "bye", from: this.id, socket: socket.key, goodbye: this.#goodbye });
    // Nobody answered, though somebody has the lock: that tab hangs. It may go on one day, and is told then.
    if (code === NO_HEARTBEAT && socket.leader === undefined && !this.leads) {
      this.#lock(this.name, { steal: true }, () => this.#lead());
    }
  }

  /** Leaves the others to themselves; who led closes its connection, and another one takes over. */
  leave(): void {
    if (this.#left.signal.aborted) return;
    if (this.#socket !== undefined && !this.leads)
      this.ended(this.#socket, this.#goodbye ? GOODBYE : undefined);
    this.#left.abort();
    this.#resign();
    this.#release();
    this.#channel.onmessage = null;
    this.#channel.close();
    this.#socket?.lost(ABNORMAL, "connection lost");
  }

  /** Waits for the lead. */
  #stand(): void {
    this.#lock(this.name, { signal: this.#left.signal }, () => this.#lead());
  }

  #lead(): Promise<void> | undefined {
    if (this.#left.signal.aborted) return undefined;
    this.#held += 1;
    if (this.leads) return this.#leaving;
    const { environment, open, wake } = this.#host;
    this.#hub = new Hub({
      id: this.id,
      open,
      wake,
      visible: () => environment.visible(),
      post: (message) => this.#tell(message),
      watch: (tab, gone) => {
        const watching = new AbortController();
        this.#lock(this.#lifeOf(tab), { signal: watching.signal }, () => {
          gone();
          return undefined;
        });
        return () => watching.abort();
      },
    });
    this.#tell({ kind: "leader", leader: this.id });
    wake();
    return this.#leaving;
  }

  #resign(): void {
    if (this.#hub === undefined) return;
    this.#hub.stop(this.#goodbye);
    this.#hub = undefined;
    this.#channel.postMessage({ kind: "resigned", leader: this.id });
  }

  #lock(
    name: string,
    options: { signal?: AbortSignal; steal?: boolean },
    held: () => Promise<void> | undefined,
  ): void {
    this.#host.environment.locks.request(name, options, held).catch((error: Error) => {
      if (this.#left.signal.aborted) return;
      // As for pages in a sandbox, or where storage is blocked.
      if (error.name !== "AbortError") this.#host.refused();
      else if (name === this.name) this.#deposed();
    });
  }

  /** Another tab stole the lead: this one is as any other. */
  #deposed(): void {
    this.#held -= 1;
    if (this.#held > 0) return;
    this.#resign();
    this.#take({ kind: "resigned", leader: this.id });
    this.#stand();
  }

  #lifeOf(tab: string): string {
    return `${this.name} ${tab}`;
  }

  #hello(): void {
    const socket = this.#socket;
    if (socket === undefined || socket.isClosed || this.#introduction === undefined) return;
    const { connect, awayMs } = this.#introduction;
    const { token: _, ...payload } = connect.payload ?? {};
    this.#say({
      kind: "hello",
      from: this.id,
      socket: socket.key,
      // The token stays in its tab.
      connect: this.leads ? connect : { ...connect, payload },
      awayMs,
      visible: this.#host.environment.visible(),
    });
  }

  /** To the leader. Always later, as from one tab to another: cores are not called from within their own calls. */
  #say(message: ToLeader): void {
    if (this.#left.signal.aborted) return;
    const hub = this.#hub;
    if (hub === undefined) this.#channel.postMessage(message);
    else queueMicrotask(() => hub === this.#hub && hub.take(message));
  }

  /** As the leader, to all. */
  #tell(message: FromLeader): void {
    if (this.#left.signal.aborted) return;
    this.#channel.postMessage(message);
    queueMicrotask(() => this.#take(message));
  }

  #take(message: FromLeader): void {
    if (this.#left.signal.aborted) return;
    const socket = this.#socket?.isClosed === false ? this.#socket : undefined;
    if (message.kind === "live") {
      if (socket === undefined) this.#host.wake();
      return;
    }
    if (socket === undefined) return;
    const mine = socket.leader === message.leader;
    switch (message.kind) {
      case "leader":
        if (socket.greeted && !mine) this.#begin(socket);
        else if (!mine) {
          socket.leader = undefined;
          this.#noticed.then(() => this.#hello());
        }
        break;
      case "resigned":
        if (!mine) break;
        if (socket.greeted) this.#begin(socket);
        else socket.leader = undefined;
        break;
      case "wait":
        if (message.to.includes(socket.key)) socket.leader = message.leader;
        break;
      case "text":
        if (!mine) break;
        if (message.to?.includes(socket.key)) socket.greeted = true;
        else if (message.to !== undefined || !socket.greeted) break;
        socket.heard(message.text);
        break;
      case "closed":
        if (mine && message.to.includes(socket.key)) socket.lost(message.code, message.reason);
        break;
    }
  }

  /** Whom the socket was connected to is gone: the core comes again, at once. */
  #begin(socket: TabSocket): void {
    socket.lost(ABNORMAL, "another tab takes the connection over");
    this.#host.wake();
  }
}
