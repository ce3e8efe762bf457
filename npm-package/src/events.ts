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

/** Data by event name: the contract's own and the augmented ones. */
export type EventMap = DomainEventMap & RealtimeEvents;

/** Where an event stands: its room, offset, id and time. */
export type EventMeta = Omit<EventFrame, "data">;

/** One event with its data. */
export type EventOf<K extends keyof EventMap> = Omit<EventFrame, "type" | "data"> & {
  type: K;
  data: EventMap[K];
};

/** Any known event; `type` tells which. An unknown name can arrive too: end a `switch` with a default. */
export type RealtimeEvent = { [K in keyof EventMap]: EventOf<K> }[keyof EventMap];

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

/** What the client itself tells. */
export interface LocalEvents {
  /** The connection's state changed. */
  state: ConnectionState;
  /** A room was joined, refused or left. */
  room: RoomState;
  /** Something failed that no promise reports. */
  error: RealtimeError;
  /** Every event, whatever its name. */
  "*": RealtimeEvent;
}

/** Every name that the types know. */
export type EventName = keyof EventMap | keyof SystemEvents | keyof LocalEvents;

/** The listener for a name. */
export type Listener<K extends EventName> = K extends keyof LocalEvents
  ? (value: LocalEvents[K]) => void
  : K extends keyof SystemEvents
    ? (data: SystemEvents[K], meta: SystemFrame) => void
    : K extends keyof EventMap
      ? (data: EventMap[K], meta: EventMeta) => void
      : never;

/** The listener for a name that the types don't know. */
export type UnknownListener = (data: Record<string, unknown>, meta: EventMeta) => void;

/** A name outside of `EventName`; a known one doesn't slip through with a wrong listener. */
type OtherName<N extends string> = N extends EventName ? never : N;

/** `on` and `once`. */
export interface Subscribe {
  <K extends EventName>(name: K, listener: Listener<K>): Unsubscribe;
  <N extends string>(name: OtherName<N>, listener: UnknownListener): Unsubscribe;
}

/** `off`. */
export interface Remove {
  <K extends EventName>(name: K, listener: Listener<K>): void;
  <N extends string>(name: OtherName<N>, listener: UnknownListener): void;
}

/** Names that never come from the wire, so that an event that happens to be called `state` can't pose as ours. */
const LOCAL: ReadonlySet<string> = new Set(["state", "room", "error", "*"] satisfies (keyof LocalEvents)[]);

/** Whether the client itself tells this one. */
export function isLocal(name: string): boolean {
  return LOCAL.has(name);
}
