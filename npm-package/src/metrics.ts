/** The newest value of each metric that has arrived, for readers that came later than the snapshot. */
import type { EventFrame, MetricUpdate, MetricValue } from "./generated/protocol.js";
import { Raw } from "./raw.js";
import type { RoomState, Unsubscribe } from "./types.js";

/** The newest value of one metric; the same object until a newer one arrives. */
export interface Metric {
  readonly metric: string;
  readonly values: Readonly<Record<string, MetricValue>>;
  /** When the server took it. */
  readonly timestamp: string;
}

const metrics = new WeakMap<EventFrame, Metric>();

/** What a `metric_update` tells; of one frame always the same object. */
export function metricOf(frame: EventFrame): Metric {
  let metric = metrics.get(frame);
  if (metric === undefined) {
    metric = { ...(frame.data as MetricUpdate), timestamp: frame.timestamp };
    metrics.set(frame, metric);
  }
  return metric;
}

/** Readers are told once for all updates of a frame: a microtask after the first of them. */
export class MetricStore extends Raw {
  /** By the room that brings them: what several bring is known until none does. */
  readonly #rooms = new Map<string, Map<string, Metric>>();
  /** After a join that didn't recover: what has come since, which replaces the rest once the snapshot is complete. */
  readonly #fresh = new Map<string, Map<string, Metric>>();
  readonly #readers = new Set<() => void>();
  #told = true;

  /** Newest value of a metric, or undefined before the first, or once no room brings it any more. */
  get(metric: string): Metric | undefined {
    let newest: Metric | undefined;
    for (const known of this.#rooms.values()) {
      const one = known.get(metric);
      if (one !== undefined && !(newest !== undefined && newest.timestamp >= one.timestamp)) newest = one;
    }
    return newest;
  }

  /** Calls `changed` after any metric changed. */
  readonly subscribe = (changed: () => void): Unsubscribe => {
    this.#readers.add(changed);
    return () => this.#readers.delete(changed);
  };

  /** @internal Takes a `metric_update`. */
  update(frame: EventFrame): void {
    const { room } = frame;
    const value = metricOf(frame);
    let known = this.#rooms.get(room);
    if (known === undefined) {
      known = new Map();
      this.#rooms.set(room, known);
    }
    known.set(value.metric, value);
    this.#fresh.get(room)?.set(value.metric, value);
    this.#changed();
  }

  /** @internal How a room stands now. */
  room({ room, status, recovered, snapshotDue }: RoomState): void {
    if (status === "refused" || status === "left") this.forget(room);
    if (status !== "joined" || recovered === true) return;
    this.#fresh.set(room, new Map());
    if (!snapshotDue) this.complete(room);
  }

  /** @internal A room's snapshot is there: what it didn't bring is no more. */
  complete(room: string): void {
    const fresh = this.#fresh.get(room);
    if (fresh === undefined) return;
    this.forget(room);
    this.#rooms.set(room, fresh);
  }

  /** Forgets what came by a room (or by any): nobody keeps it current any more. */
  forget(room?: string): void {
    for (const all of [this.#rooms, this.#fresh]) {
      if (room === undefined) all.clear();
      else all.delete(room);
    }
    this.#changed();
  }

  #changed(): void {
    if (!this.#told) return;
    this.#told = false;
    queueMicrotask(() => {
      this.#told = true;
      for (const changed of [...this.#readers]) changed();
    });
  }
}
