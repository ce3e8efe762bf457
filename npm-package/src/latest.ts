/** What a room's snapshot would be now, for listeners that come to a room which is joined already. */
import type { EventPlace, RealtimeEvent } from "./events.js";
import type { DomainEventMap, EventFrame } from "./generated/protocol.js";

/** By what the newer replaces the older (§4, "latest by"). */
const KEYS: { readonly [K in keyof DomainEventMap]?: readonly (keyof DomainEventMap[K])[] } = {
  metric_update: ["metric"],
  agent_status_change: ["agentId"],
  voice_clone_progress: ["userId", "jobId"],
  clip_played: ["clipId"],
};

/** The fields of the data that are an event's key; undefined for a type of which nothing replaces another. */
export function keyFields(type: string): readonly string[] | undefined {
  // Who publishes chooses the name: `constructor` is one as any other.
  return Object.hasOwn(KEYS, type) ? KEYS[type as keyof DomainEventMap] : undefined;
}

/** The key of an event by some fields of its data; several are joined by line breaks. */
export function keyOf(data: Record<string, unknown>, fields: readonly string[]): string {
  return fields.map((field) => data[field]).join("\n");
}

/** The newest event of each key. */
export class Latest {
  /** Events of the snapshot that are still to come. */
  due = 0;
  /** Counts how often everything had to be forgotten, because it isn't this user's to see. */
  forgotten = 0;
  readonly #types = new Map<string, Map<string, EventFrame>>();

  /** Told when a snapshot's last event was one that nobody may see: nothing else would tell that it is complete. */
  readonly ended = new Set<() => void>();

  /** Takes an event that is kept from listeners: of a snapshot, it counts all the same. */
  pass(frame: EventFrame): void {
    if (!frame.snapshot || this.due === 0) return;
    this.due -= 1;
    if (this.due === 0) for (const told of [...this.ended]) told();
  }

  keep(frame: EventFrame): void {
    if (frame.snapshot && this.due > 0) this.due -= 1;
    const fields = keyFields(frame.type);
    if (fields === undefined) return;
    let newest = this.#types.get(frame.type);
    if (newest === undefined) {
      newest = new Map();
      this.#types.set(frame.type, newest);
    }
    newest.set(keyOf(frame.data as Record<string, unknown>, fields), frame);
  }

  /** What is kept is of a stream that is no more. */
  clear(): void {
    this.#types.clear();
  }

  /** What is kept is not for the user that is there now. */
  forget(): void {
    this.forgotten += 1;
    this.clear();
  }

  /** Those of a type, as they came. */
  of(type: string): Iterable<EventFrame> {
    return this.#types.get(type)?.values() ?? [];
  }

  /** In the order of their offsets, each marked as of a snapshot. */
  events(): RealtimeEvent[] {
    const frames = [...this.#types.values()].flatMap((newest) => [...newest.values()]);
    frames.sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0));
    return frames.map(
      ({ skipped: _, replayed: __, ...frame }: EventFrame & EventPlace) =>
        ({ ...frame, snapshot: true }) as unknown as RealtimeEvent,
    );
  }
}
