/** Who is in which room, for readers that want to be kept up to date (§5). */
import { fromBody, type RealtimeError } from "./errors.js";
import type { Presence, PresenceChange, PresenceUser } from "./generated/protocol.js";
import { Raw } from "./raw.js";
import type { RoomState, Unsubscribe } from "./types.js";

/** Who is in a room; the same object until it changes. */
export interface RoomPresence {
  /** By id. Empty in a room with more users than the server lists. */
  readonly users: readonly PresenceUser[];
  readonly userCount: number;
  /** Connections without a user, as of the last answer. */
  readonly anonymous: number;
  /** The room is too large to be followed: the counts are as of the last answer, see `refresh`. */
  readonly countsOnly: boolean;
  /** No answer for the present membership yet; what is shown is what was known before. */
  readonly loading: boolean;
  /** Why it can't be told, as `forbidden`. */
  readonly error?: RealtimeError | undefined;
}

/** Before anything is known. */
export const NOBODY: RoomPresence = {
  users: [],
  userCount: 0,
  anonymous: 0,
  countsOnly: false,
  loading: true,
};

interface Entry {
  presence: RoomPresence;
  readonly readers: Set<() => void>;
  joined: boolean;
  /** Answered for the present membership: what comes from then on keeps it true, asked again or not. */
  known: boolean;
  /** Counts the questions: an answer to an older one is none. */
  question: number;
}

/** Asks the server; `answered` is called within the frame of the answer, so that no later message is missed. */
export type AskPresence = (
  room: string,
  answered: (presence: unknown) => void,
  refused: (error: RealtimeError) => void,
) => void;

/** Follows rooms for as long as somebody watches them; a room that nobody watches costs nothing. */
export class PresenceStore extends Raw {
  readonly #entries = new Map<string, Entry>();
  readonly #ask: AskPresence;
  readonly #isJoined: (room: string) => boolean;
  readonly #dirty = new Set<Entry>();

  /** @internal */
  constructor(ask: AskPresence, isJoined: (room: string) => boolean) {
    super();
    this.#ask = ask;
    this.#isJoined = isJoined;
  }

  /** Who is in a room that is watched; nobody, and `loading`, for any other. */
  get(room: string): RoomPresence {
    return this.#entries.get(room)?.presence ?? NOBODY;
  }

  /** Follows a room, which has to be joined: `changed` is called after who is in it changed. */
  watch(room: string, changed: () => void): Unsubscribe {
    let entry = this.#entries.get(room);
    if (entry === undefined) {
      entry = {
        presence: NOBODY,
        readers: new Set(),
        joined: this.#isJoined(room),
        known: false,
        question: 0,
      };
      this.#entries.set(room, entry);
      if (entry.joined) this.#question(room, entry);
    }
    const watched = entry;
    // An own function for each: the same listener may watch twice.
    const reader = () => changed();
    watched.readers.add(reader);
    return () => {
      watched.readers.delete(reader);
      if (watched.readers.size === 0 && this.#entries.get(room) === watched) this.#entries.delete(room);
    };
  }

  /** Asks again, for the counts of a large room or after an error. */
  refresh(room: string): void {
    const entry = this.#entries.get(room);
    if (entry?.joined) this.#question(room, entry);
  }

  /** @internal How a room stands now. */
  room(state: RoomState): void {
    const entry = this.#entries.get(state.room);
    if (entry === undefined) return;
    entry.joined = state.status === "joined";
    entry.known = false;
    if (entry.joined) {
      this.#question(state.room, entry);
      return;
    }
    entry.question += 1;
    const error = state.status === "refused" ? fromBody(state.error, { room: state.room }) : undefined;
    // Who was there stays shown over a reconnect, and not after a refusal.
    const known = state.status === "joining" ? entry.presence : NOBODY;
    this.#set(entry, { ...known, error, loading: error === undefined });
  }

  /** @internal A message of the server. */
  take(type: string, data: unknown, timestamp: string): void {
    if (type === "presence") {
      const entry = this.#entries.get((data as Presence).room);
      if (entry !== undefined) this.#draw(entry, data as Presence);
      return;
    }
    const { room, userId, info } = data as PresenceChange;
    const entry = this.#entries.get(room);
    if (!entry?.known || entry.presence.countsOnly) return;
    const others = entry.presence.users.filter((user) => user.userId !== userId);
    if (type === "presence_join") {
      const came = { userId, clients: 1, joinedAt: timestamp, ...(info && { info }) };
      others.push(came);
      others.sort((a, b) => (a.userId < b.userId ? -1 : 1));
    }
    this.#set(entry, { ...entry.presence, users: others, userCount: others.length });
  }

  /** @internal Another user must not be shown who was there. */
  forget(): void {
    for (const entry of this.#entries.values()) {
      entry.question += 1;
      entry.known = false;
      this.#set(entry, NOBODY);
    }
  }

  #question(room: string, entry: Entry): void {
    entry.question += 1;
    const question = entry.question;
    const current = () => entry.question === question && this.#entries.get(room) === entry;
    if (!entry.presence.loading) this.#set(entry, { ...entry.presence, loading: true });
    this.#ask(
      room,
      (presence) => current() && this.#draw(entry, presence as Presence),
      (error) => current() && this.#set(entry, { ...entry.presence, error, loading: false }),
    );
  }

  #draw(entry: Entry, { users, anonymous, counts }: Presence): void {
    entry.known = true;
    this.#set(entry, {
      users,
      userCount: counts?.users ?? users.length,
      anonymous,
      countsOnly: counts !== undefined,
      loading: false,
    });
  }

  /** Readers are told once for all of a frame: a microtask after the first. */
  #set(entry: Entry, presence: RoomPresence): void {
    entry.presence = presence;
    if (this.#dirty.size === 0) queueMicrotask(() => this.#tell());
    this.#dirty.add(entry);
  }

  #tell(): void {
    const entries = [...this.#dirty];
    this.#dirty.clear();
    for (const entry of entries) for (const reader of [...entry.readers]) reader();
  }
}
