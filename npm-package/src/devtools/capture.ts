/** Listens to one client: its states, and every frame of its sockets in both directions. Bounded; the oldest goes first. */
import type { RealtimeClient } from "../client.js";
import type { SeenSocket } from "../inspect.js";
import type { ConnectionState } from "../types.js";
import type { Direction, Entry } from "./entries.js";
import { Redactor, redactedUrl } from "./redact.js";

/** How many entries are kept. */
const LIMIT = 5000;
/** Seconds of the rate. */
const SECONDS = 60;

/** How far a room's stream is, and how late it comes. */
export interface RoomRow {
  readonly room: string;
  readonly status: string;
  readonly epoch: string | undefined;
  /** Of the newest event that arrived. */
  readonly offset: number | undefined;
  /** Events that the server had when the room was joined, and that have not arrived yet. */
  readonly behind: number;
  /** Milliseconds from the server's clock to here, of the newest event; measured against the greeting's clock. */
  readonly lagMs: number | undefined;
  readonly events: number;
  /** Events that the server conflated on the way. */
  readonly skipped: number;
  readonly recovered: boolean | undefined;
}

interface Counts {
  events: number;
  skipped: number;
  lagMs: number | undefined;
  head: number;
}

export interface CaptureOptions {
  /** Entries that are kept; 5000. */
  limit?: number | undefined;
  /** Names of further fields whose values are never shown or recorded. */
  redact?: readonly string[] | undefined;
}

export class Capture {
  readonly client: RealtimeClient;
  readonly limit: number;
  entries: Entry[] = [];
  #n = 0;
  #stopped = false;
  #state: ConnectionState;
  readonly #redactor: Redactor;
  /** Milliseconds that the server's clock is ahead of this one, at least. */
  #ahead: number | undefined;
  readonly #counts = new Map<string, Counts>();
  readonly #perSecond = new Map<number, number>();
  readonly #readers = new Set<(entry: Entry) => void>();
  readonly #ends: (() => void)[] = [];

  constructor(client: RealtimeClient, { limit = LIMIT, redact }: CaptureOptions = {}) {
    this.client = client;
    this.limit = limit;
    this.#redactor = new Redactor(redact);
    this.#state = client.state;
    this.#add("client", "state", this.#redactor.redacted(client.state), 0);
    this.#ends.push(client.on("state", (state) => this.#stateChanged(state)));
    const { seen } = client;
    const opened = (socket: SeenSocket) => this.#tap(socket);
    seen.opened.add(opened);
    this.#ends.push(() => seen.opened.delete(opened));
    // One that was opened before: from here on.
    if (seen.socket !== undefined && seen.socket.readyState < 2) this.#tap(seen.socket);
  }

  /** Calls `reader` with each entry that is added. */
  follow(reader: (entry: Entry) => void): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  /** Ends it: the client is as before. */
  stop(): void {
    this.#stopped = true;
    for (const end of this.#ends.splice(0)) end();
    this.#readers.clear();
  }

  clear(): void {
    this.entries = [];
  }

  /** Where the connection is. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** Events that arrived in each of the last 60 seconds, newest last. */
  rate(now = Date.now()): number[] {
    const second = Math.floor(now / 1000);
    return Array.from(
      { length: SECONDS },
      (_, index) => this.#perSecond.get(second - SECONDS + 1 + index) ?? 0,
    );
  }

  /** Every room, by name. */
  rooms(): RoomRow[] {
    return this.client.rooms
      .map(({ room, status, epoch, offset, recovered }) => {
        const counts = this.#counts.get(room);
        return {
          room,
          status,
          epoch,
          offset,
          behind: Math.max(0, (counts?.head ?? 0) - (offset ?? 0)),
          lagMs: counts?.lagMs,
          events: counts?.events ?? 0,
          skipped: counts?.skipped ?? 0,
          recovered,
        };
      })
      .sort((a, b) => (a.room < b.room ? -1 : 1));
  }

  #stateChanged(state: ConnectionState): void {
    this.#state = state;
    this.#add("client", "state", this.#redactor.redacted(state), 0);
  }

  #tap(socket: SeenSocket): void {
    this.#add("client", "socket", { url: redactedUrl(socket.url) }, 0);
    const send = socket.send;
    const heard = (event: MessageEvent) => this.#text("in", event.data);
    const tapped = (text: string) => {
      this.#text("out", text);
      send.call(socket, text);
    };
    socket.send = tapped;
    // `onmessage` is the client's; where there are listeners beside it, it isn't touched.
    const target = socket as SeenSocket &
      Partial<Pick<EventTarget, "addEventListener" | "removeEventListener">>;
    const listener = heard as unknown as EventListener;
    if (typeof target.addEventListener === "function") {
      target.addEventListener("message", listener);
      this.#ends.push(() => target.removeEventListener?.("message", listener));
    } else {
      this.#ends.push(wrapped(socket, heard));
    }
    this.#ends.push(() => {
      // Somebody else may have come later: then this one stays between, silent.
      if (socket.send === tapped) socket.send = send;
    });
  }

  #text(direction: Direction, text: unknown): void {
    if (typeof text !== "string" || this.#stopped) return;
    let frames: unknown[];
    try {
      frames = [JSON.parse(text)].flat();
    } catch {
      frames = [text];
    }
    for (const frame of frames) {
      const size = frames.length === 1 ? text.length : JSON.stringify(frame).length;
      this.#frame(direction, frame, size);
    }
  }

  #frame(direction: Direction, frame: unknown, size: number): void {
    const { type, room, offset, payload, data, eventId, timestamp, skipped } = (frame ?? {}) as {
      type?: string;
      room?: string;
      offset?: number;
      eventId?: string;
      timestamp?: string;
      skipped?: number;
      payload?: { room?: string };
      data?: { rooms?: unknown; room?: string; offset?: number };
    };
    if (direction === "in") {
      if (type === "connection_established" || type === "reconnected") {
        this.#ahead = Date.parse(timestamp ?? "") - Date.now();
        for (const joined of Array.isArray(data?.rooms) ? data.rooms : []) this.#joined(joined);
      }
      if (type === "room_joined") this.#joined(data);
      if (eventId !== undefined && room !== undefined) this.#event(room, offset, timestamp, skipped);
    }
    const named = room ?? payload?.room ?? (type === "room_joined" ? data?.room : undefined);
    this.#add(direction, type ?? "?", this.#redactor.redacted(frame), size, named, offset);
  }

  #joined(joined: unknown): void {
    const { room, offset } = (joined ?? {}) as { room?: string; offset?: number };
    if (room !== undefined && offset !== undefined) this.#of(room).head = offset;
  }

  #event(room: string, offset: number | undefined, timestamp: string | undefined, skipped = 0): void {
    const counts = this.#of(room);
    counts.events += 1;
    counts.skipped += skipped;
    counts.head = Math.max(counts.head, offset ?? 0);
    const sent = Date.parse(timestamp ?? "");
    const now = Date.now();
    // The greeting took some time itself: what is measured is how much later than it an event comes.
    if (this.#ahead !== undefined && !Number.isNaN(sent))
      counts.lagMs = Math.max(0, now + this.#ahead - sent);
    const second = Math.floor(now / 1000);
    this.#perSecond.set(second, (this.#perSecond.get(second) ?? 0) + 1);
    for (const old of this.#perSecond.keys()) {
      if (old > second - SECONDS) break;
      this.#perSecond.delete(old);
    }
  }

  #of(room: string): Counts {
    let counts = this.#counts.get(room);
    if (counts === undefined) {
      counts = { events: 0, skipped: 0, lagMs: undefined, head: 0 };
      this.#counts.set(room, counts);
    }
    return counts;
  }

  #add(
    direction: Direction,
    type: string,
    frame: unknown,
    size: number,
    room?: string,
    offset?: number,
  ): void {
    this.#n += 1;
    const entry: Entry = { n: this.#n, at: Date.now(), direction, type, room, offset, size, frame };
    this.entries.push(entry);
    // In bulk: cutting the front of a long list at each entry would cost more than the rest.
    if (this.entries.length >= this.limit * 1.2) this.entries = this.entries.slice(-this.limit);
    for (const reader of this.#readers) reader(entry);
  }
}

/** Hears what `onmessage` hears, whoever sets it and when. */
function wrapped(socket: SeenSocket, heard: (event: MessageEvent) => void): () => void {
  let inner = socket.onmessage;
  const own = Object.getOwnPropertyDescriptor(socket, "onmessage");
  Object.defineProperty(socket, "onmessage", {
    configurable: true,
    get: () =>
      inner === null || inner === undefined
        ? inner
        : (event: MessageEvent) => {
            heard(event);
            inner?.call(socket, event);
          },
    set: (next) => {
      inner = next;
    },
  });
  return () => {
    if (own === undefined) delete (socket as { onmessage?: unknown }).onmessage;
    else Object.defineProperty(socket, "onmessage", { ...own, value: inner });
  };
}
