/** Which payload each request takes and which reply it gives. */
import type { EventMap } from "./events.js";
import type { Published, ReplyMap, RequestMap } from "./generated/protocol.js";
import type { PublishOptions } from "./room.js";

/** How a request is made. */
export interface RequestOptions {
  /** How long to wait for the answer, in milliseconds. Default: `requestTimeoutMs` of the client. */
  timeoutMs?: number;
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

/** `emit`. */
export interface Emit {
  <K extends keyof EventMap>(
    room: string,
    type: K,
    data: EventMap[K],
    options?: PublishOptions,
  ): Promise<Published>;
  <N extends string>(
    room: string,
    type: N extends keyof EventMap ? never : N,
    data: Record<string, unknown>,
    options?: PublishOptions,
  ): Promise<Published>;
}
