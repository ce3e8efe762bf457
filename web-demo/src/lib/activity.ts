/** Counts what arrives in each room: its newest offset, events a second, and what was conflated. */

/** Over how many seconds a rate is taken. */
const RATE_SECONDS = 5;
/** How many seconds the panel's chart shows. */
export const CHART_SECONDS = 60;

export interface RoomActivity {
  /** The newest offset delivered. */
  offset: number;
  /** Events a second over the last seconds. */
  rate: number;
  /** Events delivered since the page was opened, snapshots not counted. */
  total: number;
  /** Events that gave way to newer ones because this connection was behind. */
  skipped: number;
}

export interface Activity {
  rooms: Readonly<Record<string, RoomActivity>>;
  /** Events a second over all rooms. */
  rate: number;
  /** Events in each of the last `CHART_SECONDS` seconds, oldest first. */
  perSecond: readonly number[];
}

export interface Arrival {
  room?: string | undefined;
  offset?: number | undefined;
  skipped?: number | undefined;
  snapshot?: boolean | undefined;
}

interface Counter {
  offset: number;
  total: number;
  skipped: number;
  current: number;
  past: number[];
}

const EMPTY: Activity = { rooms: {}, rate: 0, perSecond: Array<number>(CHART_SECONDS).fill(0) };

/** Collects arrivals and publishes a new picture of them each second, so that a flood costs one render a second. */
export class ActivityMeter {
  #counters = new Map<string, Counter>();
  #picture: Activity = EMPTY;
  #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setInterval> | undefined;

  record(room: string, arrival: Arrival): void {
    let counter = this.#counters.get(room);
    const isNew = counter === undefined;
    counter ??= { offset: 0, total: 0, skipped: 0, current: 0, past: [] };
    this.#counters.set(room, counter);
    // A lower offset is right too: after a lost epoch a room counts from 1 again.
    if (arrival.offset !== undefined) counter.offset = arrival.offset;
    counter.skipped += arrival.skipped ?? 0;
    if (!arrival.snapshot) {
      counter.total += 1;
      counter.current += 1;
    }
    if (isNew) this.#publish(this.#picture.perSecond);
  }

  forget(room: string): void {
    if (this.#counters.delete(room)) this.#publish(this.#picture.perSecond);
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    this.#timer ??= setInterval(() => this.#tick(), 1000);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  };

  readonly picture = (): Activity => this.#picture;

  #tick(): void {
    let second = 0;
    for (const counter of this.#counters.values()) {
      second += counter.current;
      counter.past = [...counter.past, counter.current].slice(-RATE_SECONDS);
      counter.current = 0;
    }
    this.#publish([...this.#picture.perSecond, second].slice(-CHART_SECONDS));
  }

  #publish(perSecond: readonly number[]): void {
    const rooms: Record<string, RoomActivity> = {};
    let rate = 0;
    for (const [room, { offset, total, skipped, past }] of this.#counters) {
      const roomRate = past.length === 0 ? 0 : past.reduce((sum, n) => sum + n, 0) / past.length;
      rooms[room] = { offset, total, skipped, rate: roomRate };
      rate += roomRate;
    }
    this.#picture = { rooms, rate, perSecond };
    for (const listener of this.#listeners) listener();
  }
}
