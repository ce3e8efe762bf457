/**
 * Takes frames apart: the browser parses each of them once, events pass as four numbers through the machine, and only
 * system messages become Rust values. Listeners are called from here, while nothing in Rust is borrowed.
 */

// As `Delivery` of client-core has it.
const DELIVER = 0;
const NOT_JOINED = 3;
const REPLAYED = 4;

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

/** How the server answers a connection. */
const GREETINGS = new Set(["connection_established", "reconnected"]);

/** Event ids are remembered in so many sets (a power of two) of four, the oldest of a set making way. */
const SETS = 4096;
const WAYS = 4;
/** Numbers for each: two halves of the id's hash, and the hash of the room that delivered it. */
const WORDS = 3;
/** How many ids are kept as they are, while one room delivers everything (a power of two). */
const KEPT = 4096;

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

function hash(text) {
  let value = 0;
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  return value;
}

/**
 * By which room each of the latest events was delivered. A `Map` of ids would cost as much as parsing the events: it
 * keeps every id alive for the garbage collector to copy. Here 64 bits of hash stand for an id, in one flat array;
 * and as long as one room delivers everything, its ids are only put aside.
 */
class Deliveries {
  #table = new Int32Array(SETS * WAYS * WORDS);
  /** The room that has delivered everything lately, and its ids since, not hashed yet. */
  #only;
  #kept = [];
  #next = 0;
  /** The room of the latest event, and how many in a row it has delivered. */
  #last;
  #run = 0;

  /** Notes that an event is delivered by a room. False when another room has delivered it already. */
  isFirst(eventId, room) {
    if (room === this.#only) {
      this.#kept[this.#next] = eventId;
      this.#next = (this.#next + 1) & (KEPT - 1);
      return true;
    }
    return this.#isFirstOfMany(eventId, room);
  }

  #isFirstOfMany(eventId, room) {
    if (this.#only !== undefined) {
      for (const kept of this.#kept) this.#lookUp(kept, this.#only);
      this.#only = undefined;
      this.#kept = [];
      this.#next = 0;
    }
    this.#run = room === this.#last ? this.#run + 1 : 0;
    if (this.#last === undefined || this.#run > SETS * WAYS) this.#only = room;
    this.#last = room;
    return this.#lookUp(eventId, room);
  }

  #lookUp(eventId, room) {
    const table = this.#table;
    let low = 0;
    let high = 1;
    for (let index = 0; index < eventId.length; index++) {
      const code = eventId.charCodeAt(index);
      low = Math.imul(low ^ code, 0x01000193);
      high = Math.imul(high + code, 0x85ebca6b);
    }
    const begin = (high >>> 20) % SETS * (WAYS * WORDS);
    const end = begin + WAYS * WORDS;
    for (let at = begin; at < end; at += WORDS) {
      if (table[at] === low && table[at + 1] === high) return table[at + 2] === room;
    }
    for (let at = end - 1; at >= begin + WORDS; at--) table[at] = table[at - WORDS];
    table[begin] = low;
    table[begin + 1] = high;
    table[begin + 2] = room;
    return true;
  }
}

/** Between one socket and the machine. */
export class Receiver {
  #sink;
  #core;
  /**
   * Of each joined room, by name: its name, the machine's key for it, the hash of the name, which outlives a leave, and
   * the type of its latest event.
   */
  #rooms = new Map();
  /** The room of the latest event: comparing two names is less than hashing a new one. */
  #latest;
  #deliveries = new Deliveries();

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
    const room = frame?.room;
    if (typeof eventId !== "string" || typeof room !== "string") return this.#takeSystem(frame);
    let known = this.#latest;
    if (known === undefined || known.name !== room) {
      known = this.#rooms.get(room) ?? this.#meet(room);
      if (known === undefined) return;
      this.#latest = known;
    }
    // Each parse makes its strings anew. The same string again has its hash and its place at once, wherever listeners
    // are looked up by it.
    frame.room = known.name;
    if (frame.type === known.type) frame.type = known.type;
    else known.type = frame.type;
    const verdict = core.judge(known.key, frame.offset ?? 0, frame.skipped ?? 0, frame.snapshot === true);
    if (verdict === DELIVER || verdict === REPLAYED) {
      if (verdict === REPLAYED) frame.replayed = true;
      const first = this.#deliveries.isFirst(eventId, known.hash);
      try {
        this.#sink.event(frame, first);
      } catch (error) {
        report(error);
      }
    } else if (verdict === NOT_JOINED) {
      // The key may be from before a leave and another join.
      this.#rooms.delete(room);
      this.#latest = undefined;
      const newer = this.#meet(room);
      if (newer !== undefined && newer.key !== known.key) this.#take(frame);
    }
  }

  /** Looks a room up that isn't known here yet; `undefined` when it is no room of this client. */
  #meet(room) {
    const key = this.#core.key(room);
    if (key === NO_KEY) return undefined;
    const known = { name: room, key, hash: hash(room), type: "" };
    this.#rooms.set(room, known);
    return known;
  }

  #takeSystem(frame) {
    const core = this.#core;
    const type = frame?.type;
    if (typeof type !== "string") return core.malformed();
    const id = frame.id ?? undefined;
    // The server's own; one with an id may be the answer to a request of the page.
    if (type === "heartbeat" && id === undefined) {
      if (frame.data?.resume) core.control(type, undefined, frame.data);
      return;
    }
    const own = typeof id === "number";
    if (own && type !== "error" && core.settle(id)) {
      try {
        this.#sink.reply(id, true, frame.data);
      } catch (error) {
        report(error);
      }
    }
    if (CONTROL.has(type)) core.control(type, own ? id : undefined, frame.data);
    // Of the answers to the machine's own requests the greeting is news for the page, too.
    if (id === undefined || GREETINGS.has(type)) {
      try {
        this.#sink.system(frame);
      } catch (error) {
        report(error);
      }
    }
  }
}
