/** A room's newest events for all components that watch them: one membership, one set of listeners. */
import type { RealtimeClient } from "../client.js";
import type { RealtimeEvent } from "../events.js";
import type { EventFrame } from "../generated/protocol.js";
import { keyFields, type Latest } from "../latest.js";
import type { RoomHandle } from "../room.js";
import type { RoomState, Unsubscribe } from "../types.js";
import { nextFrame } from "./frame.js";
import { GRACE_MS } from "./grace.js";
import { Newest, type NewestStatus } from "./newest.js";

const storesOf = new WeakMap<RealtimeClient, Map<string, RoomStore>>();

/** The store of a room. One that nobody watches goes after a while. */
export function roomStore(client: RealtimeClient, room: string): RoomStore {
  let stores = storesOf.get(client);
  if (stores === undefined) {
    stores = new Map();
    storesOf.set(client, stores);
  }
  const all = stores;
  let store = all.get(room);
  if (store === undefined) {
    store = new RoomStore(client, room, () => all.delete(room));
    all.set(room, store);
  }
  return store;
}

/** Joined while somebody watches, and a little longer. */
export class RoomStore {
  readonly #client: RealtimeClient;
  readonly #room: string;
  readonly #gone: () => void;
  readonly #collections = new Map<string, Newest>();
  #byType = new Map<string, Newest[]>();
  #readers = 0;
  #membership: { handle: RoomHandle; end(): void } | undefined;
  #leaving: ReturnType<typeof setTimeout> | undefined;
  #forgotten = 0;
  /** A snapshot is on its way, and what was known before it still shown. */
  #due = false;
  /** The application left the room, whoever watches. */
  #left = false;

  constructor(client: RealtimeClient, room: string, gone: () => void) {
    this.#client = client;
    this.#room = room;
    this.#gone = gone;
    this.#leaveSoon();
  }

  /** The newest events of a type by `fields` of their data; undefined: by what the protocol says (§4). */
  collection(type: string, fields: readonly string[] | undefined): Newest {
    const id = [type, ...(fields ?? [])].join("\n");
    let collection = this.#collections.get(id);
    if (collection === undefined) {
      const own = keyFields(type);
      collection = new Newest(type, fields ?? own ?? [], own !== undefined, fields !== undefined);
      this.#collections.set(id, collection);
      this.#byType.set(type, [...(this.#byType.get(type) ?? []), collection]);
      collection.seed(this.#latest?.of(type) ?? []);
      collection.draw(this.#status());
    }
    return collection;
  }

  /** Joins, and calls `changed` after the frame's changes of the picture. */
  watch(collection: Newest, changed: () => void): Unsubscribe {
    this.#readers += 1;
    clearTimeout(this.#leaving);
    this.#join();
    collection.readers.add(changed);
    return () => {
      collection.readers.delete(changed);
      this.#readers -= 1;
      if (this.#readers === 0) this.#leaveSoon();
    };
  }

  get #latest(): Latest | undefined {
    return this.#client.latest(this.#room);
  }

  #join(): void {
    if (this.#membership !== undefined) return;
    const handle = this.#client.joinRoom(this.#room);
    const latest = this.#latest;
    const snapshotEnded = () => {
      if (this.#due) this.#complete();
      nextFrame(this.#draw);
    };
    latest?.ended.add(snapshotEnded);
    const ends = [
      () => latest?.ended.delete(snapshotEnded),
      handle.on("*", (event) => this.#event(event)),
      // Of the client, not of the handle: this is also told when the application ends every handle.
      this.#client.on("room", (state) => {
        if (state.room === this.#room) this.#stands(state);
      }),
      this.#client.on("state", () => this.#forgetOthers()),
    ];
    this.#membership = {
      handle,
      end() {
        for (const end of ends) end();
        handle.leave();
      },
    };
    this.#left = false;
    // What was read before may be old by now: nobody listened.
    this.#forgotten = this.#latest?.forgotten ?? 0;
    this.#due = (this.#latest?.due ?? 0) > 0;
    for (const collection of this.#collections.values()) {
      collection.seed(this.#latest?.of(collection.type) ?? []);
      collection.draw(this.#status());
    }
  }

  #leaveSoon(): void {
    this.#leaving = setTimeout(() => {
      this.#gone();
      this.#membership?.end();
      this.#membership = undefined;
    }, GRACE_MS);
  }

  #event(event: RealtimeEvent): void {
    for (const collection of this.#byType.get(event.type) ?? [])
      collection.keep(event as unknown as EventFrame);
    if (this.#due && this.#latest?.due === 0) this.#complete();
    nextFrame(this.#draw);
  }

  #stands(state: RoomState): void {
    this.#forgetOthers();
    if (state.status === "joined" && state.recovered !== true) {
      for (const collection of this.#collections.values()) collection.restart();
      this.#due = true;
      if (state.snapshotDue === undefined) this.#complete();
    }
    if (state.status === "refused" || state.status === "left") {
      this.#due = false;
      for (const collection of this.#collections.values()) collection.clear();
    }
    // Every handle was ended: who watches from now on joins anew.
    if (state.status === "left" && this.#client.roomState(this.#room) === undefined) {
      this.#membership?.end();
      this.#membership = undefined;
      this.#left = true;
    }
    nextFrame(this.#draw);
  }

  #complete(): void {
    this.#due = false;
    for (const collection of this.#collections.values()) collection.complete();
  }

  /** Another user is not shown what the one before saw. */
  #forgetOthers(): void {
    const forgotten = this.#latest?.forgotten ?? 0;
    if (forgotten === this.#forgotten) return;
    this.#forgotten = forgotten;
    this.#due = false;
    for (const collection of this.#collections.values()) collection.clear();
    // Not with the next frame: until then a component that renders would show it beside what is the new user's.
    this.#draw();
  }

  #status(): NewestStatus {
    const state = this.#client.roomState(this.#room);
    const complete = state?.status !== "joining" && !this.#latest?.due;
    return {
      loading: state === undefined ? !this.#left : !complete,
      recovered: state?.recovered,
      error: state?.error,
    };
  }

  /** One function for all of a frame's news. */
  readonly #draw = (): void => {
    const status = this.#status();
    for (const collection of this.#collections.values()) {
      if (collection.draw(status)) for (const changed of [...collection.readers]) changed();
    }
  };
}
