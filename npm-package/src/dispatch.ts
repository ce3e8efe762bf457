/** Hands on what a core tells: events to their listeners and stores, everything else to whom it concerns. */
import type { Sink } from "./core.js";
import type { Emitter } from "./emitter.js";
import { fromBody, type RealtimeError } from "./errors.js";
import { isLocal, type ProtocolError, type SystemFrame } from "./events.js";
import type { MetricStore } from "./metrics.js";
import type { Ready } from "./parts.js";
import type { PresenceStore } from "./presence.js";
import type { Replies } from "./replies.js";
import type { Rooms } from "./rooms.js";
import type { ClientOptions, ConnectionState } from "./types.js";

/** Who is told. */
export interface Receivers {
  /** Listeners of events and messages by name. */
  readonly wire: Emitter;
  /** Listeners of what the client itself tells. */
  readonly local: Emitter;
  readonly rooms: Rooms;
  readonly metrics: MetricStore;
  readonly presence: PresenceStore;
  readonly replies: Replies;
  validators(): ClientOptions["validators"];
  needToken(): void;
  state(state: ConnectionState): void;
  /** A message of the server's own will, before its listeners. */
  system(frame: SystemFrame): unknown;
  failed(error: RealtimeError): void;
  /** An event is kept from listeners; its offset counts all the same, so nothing is asked for again. */
  kept(bad: ProtocolError): void;
}

/** The sink of one core. A core that was replaced (`current` is false) may still have something to tell: to nobody. */
export function dispatcher(to: Receivers, current: () => boolean, checks: Ready["checks"]): Sink {
  const { wire, local, rooms, metrics, presence, replies } = to;
  const ifCurrent =
    <A extends unknown[]>(call: (...args: A) => void) =>
    (...args: A) => {
      if (current()) call(...args);
    };
  return {
    needToken: ifCurrent(() => to.needToken()),
    state: ifCurrent((state) => to.state(state)),
    // The hot path: no closure, no object, no rest parameter for an event.
    event: (frame, first) => {
      if (!current()) return;
      if (checks !== undefined) {
        const bad = checks.judge(frame, to.validators());
        if (bad !== undefined) {
          if (first) to.kept(bad);
          const latest = rooms.get(frame.room)?.latest;
          latest?.pass(frame);
          if (frame.snapshot && latest?.due === 0) metrics.complete(frame.room);
          return;
        }
      }
      if (frame.type === "metric_update") metrics.update(frame);
      if (first) {
        wire.emit(frame.type, frame.data, frame);
        local.emit("*", frame);
      }
      const room = rooms.get(frame.room);
      if (room === undefined) return;
      room.latest.keep(frame);
      if (frame.snapshot && room.latest.due === 0) metrics.complete(frame.room);
      if (!isLocal(frame.type)) room.emitter.emit(frame.type, frame.data, frame);
      room.emitter.emit("*", frame);
    },
    system: ifCurrent((frame) => {
      if (frame.type === "error") return to.failed(fromBody(frame.data, { room: frame.room }));
      to.system(frame);
      if (frame.type.startsWith("presence")) presence.take(frame.type, frame.data, frame.timestamp);
      wire.emit(frame.type, frame.data, frame);
      if (frame.room !== undefined && !isLocal(frame.type)) {
        rooms.get(frame.room)?.emitter.emit(frame.type, frame.data, frame);
      }
    }),
    room: ifCurrent((state) => rooms.update(state)),
    reply: ifCurrent((id, ok, value) => replies.settle(id, ok, value)),
    sendRefused: ifCurrent((type, _payload, error) => to.failed(fromBody(error, { messageType: type }))),
  };
}
