/** Which payload each request takes and which reply it gives. */
import type { EventMap, NameOf, Text } from "./events.js";
import type { Published, ReplyMap, RequestMap, SystemMessageMap } from "./generated/protocol.js";
import type { PublishOptions } from "./room.js";

/** How a request is made. */
export interface RequestOptions {
  /** How long to wait for the answer, in milliseconds. Default: `requestTimeoutMs` of the client. */
  timeoutMs?: number | undefined;
}

/** A payload that may be left out when nothing in it is required. */
type Payload<K extends keyof RequestMap> =
  Record<never, never> extends RequestMap[K]
    ? [payload?: RequestMap[K], options?: RequestOptions]
    : [payload: RequestMap[K], options?: RequestOptions];

/** `request`: the contract's own by name, any other goes to the server's custom handlers. */
export interface Request {
  <K extends keyof RequestMap>(type: K, ...args: Payload<K>): Promise<ReplyMap[K]>;
  <T = Record<string, unknown>, N extends string = string>(
    type: N extends keyof RequestMap ? never : N,
    payload?: object,
    options?: RequestOptions,
  ): Promise<T>;
}

/** The types of events that the client knows. */
export type EmitName<E = unknown> = keyof EventMap<E> & string;

/** A type that may be published; for one of the system, which the server refuses (§4), the reason. */
export type EmitType<K extends string, E = unknown> = K extends keyof SystemMessageMap
  ? "is a name of the system (docs/PROTOCOL.md, section 4): choose another for your event"
  : NameOf<K, EmitName<E>, E>;

/** The data that belongs to a type. */
export type EmitData<K extends string, E = unknown> = K extends keyof EventMap<E>
  ? EventMap<E>[K]
  : Record<string, unknown>;

/** `emit`. */
export type Emit<E = unknown> = <K extends EmitName<E> | Text>(
  room: string,
  type: EmitType<K, E>,
  data: EmitData<K, E>,
  options?: PublishOptions,
) => Promise<Published>;
