/** The newest events of one type in a room, by key: what changes as they arrive, and the picture that readers see. */
import type { EventMap, EventOf } from "../events.js";
import type { EventFrame } from "../generated/protocol.js";
import { keyOf } from "../latest.js";
import type { RoomState } from "../types.js";
import { checkKey } from "./key-check.js";

/** How what is shown stands. */
export interface NewestStatus {
  /**
   * The server has yet to answer for the present membership, or the snapshot is on its way. What is shown is
   * what was known before: nothing at first, over a reconnect what there was.
   */
  readonly loading: boolean;
  /** False after a join that could not take up the stream: events may have been missed (§5). */
  readonly recovered: boolean | undefined;
  /** Why the room can't be joined. */
  readonly error: RoomState["error"];
}

/** The newest event of each key; the same object until something in it changes. */
export interface NewestEvents<E> extends NewestStatus {
  /** In the order of their keys. */
  readonly events: readonly E[];
  readonly byKey: ReadonlyMap<string, E>;
}

/** The newest event of one key; the same object until it changes. */
export interface NewestEvent<E> extends NewestStatus {
  readonly event: E | undefined;
}

/** An event as the readers get it. */
export type AnyEvent = EventOf<keyof EventMap>;

const LOADING: NewestStatus = { loading: true, recovered: undefined, error: undefined };

/** Before anything is known, and on a server. */
export const NOTHING: NewestEvents<never> = { ...LOADING, events: [], byKey: new Map<string, never>() };
/** The same for one key. */
export const NO_EVENT: NewestEvent<never> = { ...LOADING, event: undefined };

/** Whether two stand the same. */
export function sameStatus(a: NewestStatus, b: NewestStatus): boolean {
  return a.loading === b.loading && a.recovered === b.recovered && a.error === b.error;
}

/** One type's newest events. Readers see `picture`, which only `draw` renews. */
export class Newest {
  readonly type: string;
  readonly readers = new Set<() => void>();
  picture: NewestEvents<AnyEvent> = NOTHING;
  readonly #fields: readonly string[];
  readonly #inSnapshot: boolean;
  /** The fields are the application's choice, and no event was there yet to tell whether they are right. */
  #unchecked: boolean;
  readonly #keyPictures = new Map<string, NewestEvent<AnyEvent>>();
  #newest = new Map<string, EventFrame>();
  /** What has come since the join whose snapshot is under way; it replaces the rest when that is complete. */
  #fresh: Map<string, EventFrame> | undefined;
  #changed = false;

  /** `fields` of the data are the key, `chosen` by the application; `inSnapshot`: the server's snapshot holds the newest of each. */
  constructor(type: string, fields: readonly string[], inSnapshot: boolean, chosen = false) {
    this.type = type;
    this.#fields = fields;
    this.#inSnapshot = inSnapshot;
    this.#unchecked = chosen;
  }

  keep(frame: EventFrame): void {
    if (this.#unchecked) {
      this.#unchecked = false;
      checkKey(this.type, this.#fields, frame.data as Record<string, unknown>);
    }
    const key = keyOf(frame.data as Record<string, unknown>, this.#fields);
    this.#newest.set(key, frame);
    this.#fresh?.set(key, frame);
    this.#changed = true;
  }

  /** Begins with what is known already. */
  seed(frames: Iterable<EventFrame>): void {
    if (!this.#inSnapshot) return;
    this.clear();
    for (const frame of frames) this.keep(frame);
  }

  /** A membership that didn't recover: what its snapshot doesn't hold is no more. */
  restart(): void {
    // Of other types there is no snapshot: the last that is known stays, and `recovered` says that it may be old.
    if (this.#inSnapshot) this.#fresh = new Map();
  }

  /** The snapshot is complete. */
  complete(): void {
    if (this.#fresh === undefined) return;
    this.#newest = this.#fresh;
    this.#fresh = undefined;
    this.#changed = true;
  }

  clear(): void {
    this.#newest = new Map();
    this.#fresh = undefined;
    this.#changed = true;
  }

  /** Renews the picture; true where it differs from the one before. */
  draw(status: NewestStatus): boolean {
    const before = this.picture;
    if (this.#changed && this.#differs(before.byKey)) {
      const keys = [...this.#newest.keys()].sort();
      const byKey = new Map(keys.map((key) => [key, this.#newest.get(key) as unknown as AnyEvent]));
      this.picture = { ...status, events: [...byKey.values()], byKey };
    } else if (!sameStatus(before, status)) {
      this.picture = { ...status, events: before.events, byKey: before.byKey };
    }
    this.#changed = false;
    return this.picture !== before;
  }

  /** The picture of one key. */
  ofKey(key: string): NewestEvent<AnyEvent> {
    const { byKey, loading, recovered, error } = this.picture;
    const event = byKey.get(key);
    const before = this.#keyPictures.get(key);
    if (before !== undefined && before.event === event && sameStatus(before, this.picture)) return before;
    const now = { event, loading, recovered, error };
    this.#keyPictures.set(key, now);
    return now;
  }

  #differs(shown: ReadonlyMap<string, AnyEvent>): boolean {
    if (shown.size !== this.#newest.size) return true;
    for (const [key, frame] of this.#newest) {
      if ((shown.get(key) as unknown) !== frame) return true;
    }
    return false;
  }
}
