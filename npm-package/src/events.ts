/** The names that can be listened to, and the type of what arrives under each. */
import type { RealtimeError } from "./errors.js";
import type {
  DomainEventMap,
  Draining,
  EventFrame,
  Greeting,
  Presence,
  PresenceChange,
  TokenExpiring,
} from "./generated/protocol.js";
import type { ConnectionState, RoomState, Unsubscribe } from "./types.js";

/**
 * Events of your own, by module augmentation:
 * ```ts
 * declare module "@osbackend/realtime" {
 *   interface RealtimeEvents { order_placed: { orderId: string; total: number } }
 * }
 * ```
 */
// biome-ignore lint/suspicious/noEmptyInterface: it exists to be augmented
export interface RealtimeEvents {}

/** Data by event name: the contract's own, the augmented ones, and those of `createClient<E>()`. */
export type EventMap<E = unknown> = DomainEventMap & RealtimeEvents & E;

/** What is known of an event beside its type and data: its room, offset, id and time. */
export interface EventPlace extends Omit<EventFrame, "type" | "data"> {
  /**
   * It was missed at its time, while the client was away, and comes now because its room was recovered (§5). What a snapshot holds has
   * `snapshot` instead. Who tells of what happens right now (a toast, a sound) leaves out both.
   */
  replayed?: boolean;
}

/** Where an event stands: its room, offset, id and time. */
export interface EventMeta<K extends string = string> extends EventPlace {
  type: K;
}

/** One event with its data. */
export interface EventOf<K extends keyof EventMap<E>, E = unknown> extends EventPlace {
  type: K;
  data: EventMap<E>[K];
}

/** Any known event; `type` tells which. An unknown name can arrive too: end a `switch` with a default. */
export type RealtimeEvent<E = unknown> = { [K in keyof EventMap<E>]: EventOf<K, E> }[keyof EventMap<E>];

/** A message of the system as it came. */
export interface SystemFrame {
  type: string;
  data: unknown;
  room?: string;
  timestamp: string;
}

/** Messages of the server that are no events of a room's stream. */
export interface SystemEvents {
  connection_established: Greeting;
  reconnected: Greeting;
  /** Unasked: the whole picture anew (§5). */
  presence: Presence;
  presence_join: PresenceChange;
  presence_leave: PresenceChange;
  token_expiring: TokenExpiring;
  draining: Draining;
}

/** An event that was kept from listeners, because its data isn't what its type has (`validate: "strict"`). */
export interface ProtocolError extends Omit<EventFrame, "type" | "data"> {
  /** The event's type. */
  event: string;
  /** The field that is wrong, such as `data.values.active`. */
  path: string;
  /** What belongs there, in words. */
  expected: string;
  /** What is there, in words: its kind and size rather than its text. */
  received: string;
  /** All of it in one line. */
  message: string;
  /** The data as it came. */
  data: unknown;
}

/** What the client itself tells. */
export interface LocalEvents<E = unknown> {
  /** The connection's state changed. */
  state: ConnectionState;
  /** A room was joined, refused or left. */
  room: RoomState;
  /** Something failed that no promise reports. */
  error: RealtimeError;
  /** An event was kept from listeners, because its data isn't what its type has. */
  protocol_error: ProtocolError;
  /** Every event, whatever its name. */
  "*": RealtimeEvent<E>;
}

/** Every name that the types know. */
export type EventName<E = unknown> = (keyof EventMap<E> & string) | keyof SystemEvents | keyof LocalEvents;

/** What a typo was meant to be: names that begin with the same three letters, or go on alike behind the first `_`. */
type Similar<N extends string, All extends string> =
  | (N extends `${infer A}${infer B}${infer C}${string}` ? Extract<All, `${A}${B}${C}${string}`> : never)
  | (N extends `${string}_${infer Rest}` ? Extract<All, `${string}_${Rest}`> : never);

/**
 * A name as a parameter. Any does where the events were not given to `createClient<E>()`; where they were, an unknown one
 * doesn't compile, and the error names those that it may have been meant to be.
 */
export type NameOf<N extends string, All extends string, E> = N extends All
  ? N
  : unknown extends E
    ? N
    : [Similar<N, All>] extends [never]
      ? { [Known in All]: Known }[All]
      : Similar<N, All>;

/** Any text, of which editors complete the known names. */
export type Text = string & {};

/** What arrives under a name. */
export type DataOf<K extends string, E = unknown> = K extends keyof LocalEvents
  ? LocalEvents<E>[K]
  : K extends keyof SystemEvents
    ? SystemEvents[K]
    : K extends keyof EventMap<E>
      ? EventMap<E>[K]
      : Record<string, unknown>;

/** What is told with it. */
export type MetaOf<K extends string> = K extends keyof SystemEvents ? SystemFrame : EventMeta<K>;

/** The listener for a name. */
export type Listener<K extends string, E = unknown> = [K] extends [keyof LocalEvents]
  ? (value: DataOf<K, E>) => void
  : (data: DataOf<K, E>, meta: MetaOf<K>) => void;

/** The listener for a name that the types don't know. */
export type UnknownListener = (data: Record<string, unknown>, meta: EventMeta) => void;

/** `on` and `once`. */
export type Subscribe<E = unknown> = <K extends EventName<E> | Text>(
  name: NameOf<K, EventName<E>, E>,
  listener: Listener<K, E>,
) => Unsubscribe;

/** `off`. */
export type Remove<E = unknown> = <K extends EventName<E> | Text>(
  name: NameOf<K, EventName<E>, E>,
  listener: Listener<K, E>,
) => void;

/** Names that never come from the wire, so that an event that happens to be called `state` can't pose as ours. */
const LOCAL: ReadonlySet<string> = new Set([
  "state",
  "room",
  "error",
  "protocol_error",
  "*",
] satisfies (keyof LocalEvents)[]);

/** Whether the client itself tells this one. */
export function isLocal(name: string): boolean {
  return LOCAL.has(name);
}
