/** The newest value of each metric that has arrived, for readers that came later than the snapshot. */
import type { EventFrame, MetricUpdate, MetricValue } from "./generated/protocol.js";
import type { Unsubscribe } from "./types.js";

/** The newest value of one metric; the same object until a newer one arrives. */
export interface Metric {
  readonly metric: string;
  readonly values: Readonly<Record<string, MetricValue>>;
  /** When the server took it. */
  readonly timestamp: string;
}

interface Kept {
  readonly value: Metric;
  readonly room: string;
}

/** Readers are told once for all updates of a frame: a microtask after the first of them. */
export class MetricStore {
  readonly #newest = new Map<string, Kept>();
  readonly #readers = new Set<() => void>();
  #told = true;

  /** Newest value of a metric, or undefined before the first. */
  get(metric: string): Metric | undefined {
    return this.#newest.get(metric)?.value;
  }

  /** Calls `changed` after any metric changed. */
  readonly subscribe = (changed: () => void): Unsubscribe => {
    this.#readers.add(changed);
    return () => this.#readers.delete(changed);
  };

  /** Takes a `metric_update`. */
  update(frame: EventFrame): void {
    const { metric, values } = frame.data as MetricUpdate;
    this.#newest.set(metric, { value: { metric, values, timestamp: frame.timestamp }, room: frame.room });
    this.#changed();
  }

  /** Forgets what came by a room (or by any): nobody keeps it current any more. */
  forget(room?: string): void {
    for (const [metric, kept] of this.#newest) {
      if (room === undefined || kept.room === room) this.#newest.delete(metric);
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
