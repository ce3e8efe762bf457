/** What a room's snapshot would be now, for listeners that come to a room which is joined already. */
import type { RealtimeEvent } from "./events.js";
import type { DomainEventMap, EventFrame } from "./generated/protocol.js";

/** By what the newer replaces the older (§4, "latest by"). */
const KEYS: { readonly [K in keyof DomainEventMap]?: readonly (keyof DomainEventMap[K])[] } = {
  metric_update: ["metric"],
  agent_status_change: ["agentId"],
  voice_clone_progress: ["userId", "jobId"],
  clip_played: ["clipId"],
};

/** The newest event of each key. */
export class Latest {
  readonly #types = new Map<string, Map<string, EventFrame>>();

  keep(frame: EventFrame): void {
    const fields: readonly string[] | undefined = KEYS[frame.type as keyof DomainEventMap];
    if (fields === undefined) return;
    let newest = this.#types.get(frame.type);
    if (newest === undefined) {
      newest = new Map();
      this.#types.set(frame.type, newest);
    }
    const data = frame.data as Record<string, unknown>;
    newest.set(fields.map((field) => data[field]).join("\n"), frame);
  }

  clear(): void {
    this.#types.clear();
  }

  /** In the order of their offsets, each marked as of a snapshot. */
  events(): RealtimeEvent[] {
    const frames = [...this.#types.values()].flatMap((newest) => [...newest.values()]);
    frames.sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0));
    return frames.map(
      ({ skipped: _, ...frame }) => ({ ...frame, snapshot: true }) as unknown as RealtimeEvent,
    );
  }
}
