/** Counts what arrives in each room: its newest offset, events a second, and whether an offset was missed. */

/** Over how many seconds a rate is taken. */
const RATE_SECONDS = 5;
/** How many seconds the panel's chart shows. */
export const CHART_SECONDS = 60;

export interface RoomActivity {
  /** The newest offset delivered. */
  offset: number | undefined;
  /** Events a second over the last seconds. */
  rate: number;
  /** Events delivered since the page was opened, snapshots not counted. */
  total: number;
  /** The server could not replay what was missed while away: the room went on from a snapshot. */
  startedOver: boolean;
}

export interface Activity {
  rooms: Readonly<Record<string, RoomActivity>>;
  /** Events a second over all rooms. */
  rate: number;
  /** Offsets that should have come and did not; those that the server conflated are no loss. */
  missed: number;
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
  /** Undefined until the first event or join tells it. */
  offset: number | undefined;
  total: number;
  startedOver: boolean;
  current: number;
  past: number[];
}

const EMPTY: Activity = { rooms: {}, rate: 0, missed: 0, perSecond: Array<number>(CHART_SECONDS).fill(0) };

/** Collects arrivals and publishes a new picture of them each second, so that a flood costs one render a second. */
export class ActivityMeter {
  #counters = new Map<string, Counter>();
  #picture: Activity = EMPTY;
  #missed = 0;
  #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** An event of `room` arrived. */
  record(room: string, { offset, skipped = 0, snapshot = false }: Arrival): void {
    const counter = this.#counter(room);
    // A snapshot repeats what was before the join.
    if (snapshot) return;
    counter.total += 1;
    counter.current += 1;
    if (offset === undefined) return;
    if (counter.offset !== undefined) this.#missed += Math.max(0, offset - counter.offset - 1 - skipped);
    counter.offset = offset;
  }

  /** `room` was joined without recovery: it counts on from `offset`, whatever was before. */
  restart(room: string, offset: number | undefined): void {
    const counter = this.#counter(room);
    counter.startedOver = counter.offset !== undefined;
    counter.offset = offset;
    this.#publish(this.#picture.perSecond);
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

  #counter(room: string): Counter {
    let counter = this.#counters.get(room);
    if (!counter) {
      counter = { offset: undefined, total: 0, startedOver: false, current: 0, past: [] };
      this.#counters.set(room, counter);
    }
    return counter;
  }

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
    for (const [room, { offset, total, startedOver, past }] of this.#counters) {
      const roomRate = past.length === 0 ? 0 : past.reduce((sum, n) => sum + n, 0) / past.length;
      rooms[room] = { offset, total, startedOver, rate: roomRate };
      rate += roomRate;
    }
    this.#picture = { rooms, rate, missed: this.#missed, perSecond };
    for (const listener of this.#listeners) listener();
  }
}
