/** What the WebAssembly client offers and expects: the seam between this package and client-wasm. */

import type { SystemFrame } from "./events.js";
import type { Action, EventFrame } from "./generated/protocol.js";
import type { ClientOptions, ConnectionState, RoomState } from "./types.js";

/** The options with the endpoint settled. */
export type CoreOptions = Omit<ClientOptions, "url" | "validate" | "validators" | "user"> & { url: string };

/** The connection machine in its browser shell. */
export interface Core {
  connect(): void;
  disconnect(): void;
  /** A wait for the next attempt ends; a live connection is asked to say something. */
  wake(): void;
  setToken(token: string | null): void;
  tokenFailed(message: string): void;
  /** In place of a token: the text that the application gave has expired. */
  tokenExpired(): void;
  /** Whether the token is a text, which nobody can be asked to renew. */
  fixToken(fixed: boolean): void;
  join(room: string, snapshot: boolean): void;
  leave(room: string): void;
  /** A room that is wanted, and not joined yet, was read up to there by another core. */
  seek(room: string, epoch: string, offset: number): void;
  /** `retry`: a publish with a key, which may be sent again after a lost connection. */
  request(type: string, payload: unknown, timeoutMs?: number, retry?: boolean): number;
  send(type: string, payload: unknown): void;
  can(room: string, action: Action): boolean;
  rooms(): RoomState[];
  state(): ConnectionState;
  readonly clientId: string | undefined;
  free(): void;
}

/** What the core calls. */
export interface Sink {
  /** Wanted before every connect and before expiry; answered by `setToken` or `tokenFailed`. */
  needToken(): void;
  state(state: ConnectionState): void;
  /** `first` is false when the event was already delivered by another room. */
  event(frame: EventFrame, first: boolean): void;
  system(frame: SystemFrame): void;
  room(state: RoomState): void;
  reply(id: number, ok: boolean, value: unknown): void;
  sendRefused(type: string, payload: unknown, error: unknown): void;
}

/** Makes a core; there is one as soon as the module is loaded. */
export type CoreFactory = (options: CoreOptions, sink: Sink) => Core;

/**
 * What is to be text and may be anything at run time (an answer that was parsed, a page without types): the module
 * reads what it is given as a string without looking, beyond its own memory if need be.
 */
export function text(value: string, what: string): string {
  if (typeof value !== "string") throw new TypeError(`${what} must be a string, not ${typeof value}`);
  return value;
}
