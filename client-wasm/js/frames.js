/**
 * Takes frames apart: the browser parses each of them once, events pass as four numbers through the machine, and only
 * system messages become Rust values. Listeners are called from here, while nothing in Rust is borrowed.
 */

// As `Delivery` of client-core has it.
const DELIVER = 0;
const NOT_JOINED = 3;

/** `RoomKey::NONE` of client-core. */
const NO_KEY = 0xffffffff;

/** The messages on which the machine acts; all others only concern listeners. */
const CONTROL = new Set([
  "connection_established",
  "reconnected",
  "authenticated",
  "room_joined",
  "room_left",
  "error",
  "token_expiring",
  "draining",
]);

/** Event ids to remember for `first`: at least this many, at most twice as many. */
const REMEMBERED = 2048;

/** Milliseconds since the page began: monotonic, unlike the date. */
export function now() {
  return performance.now();
}

/** What a moment of `now()` is as a date, in milliseconds. */
export function toDate(moment) {
  return Math.round(Date.now() - performance.now() + moment);
}

/** The options without what JSON can't hold: functions, and fields that are there but undefined. */
export function plain(options) {
  return JSON.parse(JSON.stringify(options ?? null));
}

/** A payload as text, `undefined` for none; anything but an object is refused here rather than by the server. */
export function encode(payload) {
  if (payload === undefined || payload === null) return undefined;
  if (typeof payload !== "object" || Array.isArray(payload)) throw new TypeError("payload must be an object");
  return JSON.stringify(payload);
}

/** A listener threw: that is the page's error, not the connection's. */
export function report(error) {
  if (typeof reportError === "function") reportError(error);
  else setTimeout(() => { throw error; });
}

/** Between one socket and the machine. */
export class Receiver {
  #sink;
  #core;
  /** Keys of joined rooms, by name. */
  #keys = new Map();
  /** By which room each event was delivered: a younger and an older generation. */
  #young = new Map();
  #old = new Map();

  constructor(sink) {
    this.#sink = sink;
  }

  /** The machine's side; kept apart from the constructor because each needs the other. */
  bind(core) {
    this.#core = core;
  }

  /** Ends it, and lets go of the machine. */
  dispose() {
    this.#core?.free();
    this.#core = undefined;
  }

  /** The socket's `onmessage`. */
  onmessage = (event) => {
    const core = this.#core;
    if (core === undefined) return;
    core.heard(performance.now());
    let frame;
    try {
      frame = JSON.parse(event.data);
    } catch {
      return core.malformed();
    }
    if (Array.isArray(frame)) {
      for (let index = 0; index < frame.length; index++) this.#take(frame[index]);
    } else {
      this.#take(frame);
    }
  };

  #take(frame) {
    const core = this.#core;
    // A listener may have freed the client in the middle of a batch.
    if (core === undefined) return;
    const eventId = frame?.eventId;
    if (eventId === undefined) return this.#takeSystem(frame);
    const room = frame.room;
    let key = this.#keys.get(room);
    if (key === undefined) {
      key = core.key(room);
      if (key === NO_KEY) return;
      this.#keys.set(room, key);
    }
    const verdict = core.judge(key, frame.offset ?? 0, frame.skipped ?? 0, frame.snapshot === true);
    if (verdict === DELIVER) {
      let first = true;
      const by = this.#young.get(eventId);
      if (by === undefined) first = this.#remember(eventId, room);
      else first = by === room;
      try {
        this.#sink.event(frame, first);
      } catch (error) {
        report(error);
      }
    } else if (verdict === NOT_JOINED) {
      this.#keys.delete(room);
      // The key may be from before a leave and another join.
      const newer = core.key(room);
      if (newer !== key && newer !== NO_KEY) this.#take(frame);
    }
  }

  /** Notes that an event was delivered by `room`. True unless another room had delivered it. */
  #remember(eventId, room) {
    if (this.#young.size >= REMEMBERED) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    const by = this.#old.get(eventId) ?? room;
    this.#young.set(eventId, by);
    return by === room;
  }

  #takeSystem(frame) {
    const core = this.#core;
    const type = frame?.type;
    if (typeof type !== "string") return core.malformed();
    const id = frame.id;
    // The server's own; one with an id may be the answer to a request of the page.
    if (type === "heartbeat" && id === undefined) return;
    const own = typeof id === "number";
    if (own && type !== "error" && core.settle(id)) {
      try {
        this.#sink.reply(id, true, frame.data);
      } catch (error) {
        report(error);
      }
    }
    if (CONTROL.has(type)) core.control(type, own ? id : undefined, frame.data);
    if (id === undefined) {
      try {
        this.#sink.system(frame);
      } catch (error) {
        report(error);
      }
    }
  }
}
