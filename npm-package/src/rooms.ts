/** Which rooms are wanted, by whom, and how each stands. */
import { type Core, text } from "./core.js";
import { Emitter } from "./emitter.js";
import { messageOf } from "./errors.js";
import type { RealtimeEvent } from "./events.js";
import { Latest } from "./latest.js";
import { type AnyRoom, RoomHandle, type RoomOwner } from "./room.js";
import type { RoomState } from "./types.js";

interface Entry {
  readonly emitter: Emitter;
  readonly handles: Set<RoomHandle>;
  state: RoomState;
  snapshot: boolean;
  /** How far a core that is no more has read it. */
  position?: RoomState | undefined;
  /** Also where nobody asks yet: who comes later can't have the snapshot again. */
  readonly latest: Latest;
}

/** The rooms of a client. A room without a handle was joined by the server (`user:{id}`, §5). */
export class Rooms {
  readonly #entries = new Map<string, Entry>();
  readonly #failed: (thrown: unknown, name: string) => void;
  readonly #changed: (state: RoomState) => void;

  /** `failed` is told what a listener threw, `changed` each new state. */
  constructor(failed: (thrown: unknown, name: string) => void, changed: (state: RoomState) => void) {
    this.#failed = failed;
    this.#changed = changed;
  }

  /** A new handle; the first of a room joins it. */
  join(room: string, snapshot: boolean, core: Core | undefined, owner: RoomOwner): RoomHandle {
    const entry = this.#entry(room);
    const handle = new RoomHandle(room, entry.emitter, owner);
    const first = entry.handles.size === 0;
    entry.handles.add(handle);
    if (first) {
      entry.snapshot = snapshot;
      if (core === undefined) this.#changed(entry.state);
      else this.#joinNow(core, room, entry);
    } else if (entry.state.status === "refused" || entry.state.status === "left") {
      // The earlier handles were told no; who asks anew wants it tried again.
      if (core !== undefined) this.#joinNow(core, room, entry);
    }
    return handle;
  }

  /** Ends a handle's membership; the last one leaves the room. */
  release(handle: AnyRoom, core: Core | undefined): void {
    const entry = this.#entries.get(handle.name);
    if (entry === undefined || !entry.handles.delete(handle) || entry.handles.size > 0) return;
    core?.leave(handle.name);
    this.forget(handle.name);
  }

  /** The handles of a room. */
  handles(room: string): RoomHandle[] {
    return [...(this.#entries.get(room)?.handles ?? [])];
  }

  /** Asks a new core for every wanted room; what only the server had joined is forgotten. */
  restore(core: Core): void {
    for (const [room, entry] of [...this.#entries]) {
      const { epoch, offset } = entry.position ?? {};
      entry.position = undefined;
      if (entry.handles.size === 0) this.#entries.delete(room);
      else this.#joinNow(core, room, entry);
      if (epoch !== undefined && offset !== undefined) core.seek(room, epoch, offset);
    }
  }

  /** For the core that comes next: where this one stopped. */
  keepPositions(core: Core): void {
    for (const state of core.rooms()) {
      const entry = this.#entries.get(state.room);
      if (entry !== undefined) entry.position = state;
    }
  }

  /** What is kept is of another server, or another user's. */
  dropPositions(): void {
    for (const entry of this.#entries.values()) entry.position = undefined;
  }

  /** Asks the core for the rooms that it may not have been asked for yet. */
  joinAll(core: Core): void {
    for (const [room, entry] of [...this.#entries]) {
      if (entry.handles.size > 0 && entry.state.status === "joining") this.#joinNow(core, room, entry);
    }
  }

  /** Takes what the core tells of a room. */
  update(state: RoomState): void {
    if (state.status === "left" && !this.#entries.has(state.room)) return;
    const entry = this.#entry(state.room);
    entry.state = state;
    // A snapshot follows, or nothing does: what is kept may be of things that are no more.
    if (state.status !== "joining" && state.recovered !== true) entry.latest.clear();
    entry.latest.due = state.snapshotDue ?? 0;
    if (state.status === "left" && entry.handles.size === 0) this.#entries.delete(state.room);
    entry.emitter.emit("room", state);
    this.#changed(state);
  }

  /**
   * Brings everything in line with what the core has, after the connection's state changed: it tells of no
   * room that is merely to be joined again, and of none that it dropped because it was never asked for.
   */
  follow(states: readonly RoomState[]): void {
    const live = new Map(states.map((state) => [state.room, state]));
    for (const [room, entry] of [...this.#entries]) {
      const state = live.get(room);
      if (state === undefined) {
        if (entry.handles.size === 0) this.forget(room);
      } else if (state.status === "joining" && entry.state.status !== "joining") {
        this.update(state);
      }
    }
  }

  /** Forgets a room that has no handle. */
  forget(room: string): void {
    if (!this.#entries.delete(room)) return;
    this.#changed({ room, status: "left", reason: "requested" });
  }

  /** The listeners of a room, and where its newest events are kept. */
  get(room: string): Readonly<Pick<Entry, "emitter" | "latest">> | undefined {
    return this.#entries.get(room);
  }

  /** Calls `listener` with the newest event of each key. */
  replay(room: string, listener: (event: RealtimeEvent) => void): void {
    for (const event of this.get(room)?.latest.events() ?? []) {
      try {
        listener(event);
      } catch (thrown) {
        this.#failed(thrown, "*");
      }
    }
  }

  /** Another user must not be shown what was kept, nor where the last one stood. */
  forgetSeen(): void {
    for (const [room, entry] of [...this.#entries]) {
      if (entry.handles.size === 0) this.#entries.delete(room);
      entry.state = entry.handles.size === 0 ? { room, status: "left" } : { room, status: "joining" };
      entry.latest.forget();
      entry.emitter.emit("room", entry.state);
      this.#changed(entry.state);
    }
  }

  /** How a room stands; the same object until it changes. */
  state(room: string): RoomState | undefined {
    return this.#entries.get(room)?.state;
  }

  /** How every room stands. */
  states(): RoomState[] {
    return Array.from(this.#entries.values(), (entry) => entry.state);
  }

  #entry(room: string): Entry {
    let entry = this.#entries.get(room);
    if (entry === undefined) {
      entry = {
        emitter: new Emitter(this.#failed),
        handles: new Set(),
        state: { room, status: "joining" },
        snapshot: true,
        latest: new Latest(),
      };
      this.#entries.set(room, entry);
    }
    return entry;
  }

  #joinNow(core: Core, room: string, entry: Entry): void {
    try {
      // `update` may be called from within.
      core.join(text(room, "room"), entry.snapshot);
    } catch (thrown) {
      // The name is malformed (§5). A hook can't catch this, so it is told as any refusal is.
      this.update({ room, status: "refused", error: { code: "bad_request", message: messageOf(thrown) } });
    }
  }
}
