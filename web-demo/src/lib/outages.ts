/**
 * What an outage was, and whether anything was lost by it: where each room stood when the connection went away, what the
 * server said it would replay, and what of that has really come. Knows no clock and no socket.
 */
import type { RoomJoined, RoomResult } from "@osbackend/realtime";

/** One room over one outage. */
export interface Recovery {
  room: string;
  /** The newest offset before the outage. */
  from: number;
  /** The room's newest offset when the connection was back. */
  to: number;
  /** Events that the server said it replays. */
  replayed: number;
  /** Those of them that have come. */
  received: number;
  /** Those that gave way to newer ones of their key: replaced, not lost. */
  skipped: number;
  /** The last of them has come, or none is to come. */
  done: boolean;
  /** The server could not replay: the room goes on from its snapshot. */
  startedOver: boolean;
}

/** A fault that the visitor made; a server that was killed starts again after the chosen time, before this page finds it. */
export type Cause = "cut" | "killed" | "restarting";

export interface Outage {
  /** Milliseconds since 1970. */
  lostAt: number;
  why: string;
  /** Attempts to connect, the coming one included. */
  attempts: number;
  /** When the connection was back. */
  backAt?: number;
  /** The same session goes on. */
  resumed?: boolean;
  /** The rooms that moved meanwhile, or had to start over. */
  rooms: readonly Recovery[];
}

/** Offsets that should have come and did not. */
export const lostIn = ({ rooms }: Outage): number =>
  rooms.reduce(
    (sum, { done, startedOver, from, to, received, skipped }) =>
      done && !startedOver ? sum + to - from - received - skipped : sum,
    0,
  );

/** Events that came after the outage because the server kept them. */
export const recoveredIn = ({ rooms }: Outage): number =>
  rooms.reduce((sum, { received }) => sum + received, 0);

/** Whether all that was to be replayed has come. */
export const isOver = ({ backAt, rooms }: Outage): boolean =>
  backAt !== undefined && rooms.every(({ done }) => done);

export class OutageLog {
  #outage: Outage | undefined;
  /** Newest offset of each room. */
  #offsets = new Map<string, number>();
  /** The same as it was when the connection went away. */
  #before = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** The outage under way, or the last one; the same object until it changes. */
  readonly outage = (): Outage | undefined => this.#outage;

  /** The connection is gone, and an attempt to have it back is to be made; again after each that failed. */
  lost(why: string, now: number): void {
    const outage = this.#outage;
    if (outage && outage.backAt === undefined) {
      this.#set({ ...outage, attempts: outage.attempts + 1 });
      return;
    }
    this.#before = new Map(this.#offsets);
    this.#set({ lostAt: now, why, attempts: 1, rooms: [] });
  }

  /** The connection is back, with what the server says about the rooms. */
  back(results: readonly RoomResult[], resumed: boolean, now: number): void {
    const outage = this.#outage;
    if (!outage || outage.backAt !== undefined) return;
    const rooms = results.flatMap((result) => ("error" in result ? [] : this.#recoveryOf(result)));
    this.#set({ ...outage, backAt: now, resumed, rooms });
  }

  /** A room was joined without recovery: it counts on from there. */
  joined(room: string, offset: number | undefined): void {
    if (offset !== undefined) this.#offsets.set(room, offset);
  }

  /** An event of a room; none of a snapshot. */
  event(room: string, offset: number, skipped: number): void {
    // What is repeated to a panel that came late is no news.
    if (offset <= (this.#offsets.get(room) ?? -1)) return;
    this.#offsets.set(room, offset);
    const outage = this.#outage;
    const recovery = outage?.rooms.find((other) => other.room === room);
    if (!outage || !recovery || recovery.done) return;
    const late = offset <= recovery.to;
    // Of those that this event replaced, the ones that it was late for.
    const replaced = late ? skipped : Math.max(0, recovery.to - (offset - 1 - skipped));
    const next = {
      ...recovery,
      received: recovery.received + Number(late),
      skipped: recovery.skipped + replaced,
      done: offset >= recovery.to,
    };
    this.#set({ ...outage, rooms: outage.rooms.map((other) => (other === recovery ? next : other)) });
  }

  /** A room that was left. */
  forget(room: string): void {
    this.#offsets.delete(room);
  }

  #recoveryOf({ room, offset, recovered, replayed }: RoomJoined): Recovery[] {
    const from = this.#before.get(room);
    if (from === undefined || (recovered && offset <= from)) return [];
    const startedOver = !recovered;
    return [{ room, from, to: offset, replayed, received: 0, skipped: 0, done: startedOver, startedOver }];
  }

  #set(outage: Outage): void {
    this.#outage = outage;
    for (const listener of this.#listeners) listener();
  }
}
