/** The public vocabulary that is not on the wire: options, connection state, room state. */
import type { RealtimeErrorCode } from "./errors.js";
import type { Validators } from "./validators.js";

/** A token, a function that gives a fresh one (asked before every connect and before expiry), or none. */
export type TokenSource = string | null | TokenProvider;

/**
 * Gives a fresh token, or none. Where it throws, rejects or gives what is no JWT, that is told by "error" (`token_failed`) and it is asked
 * again, as it is where the server refuses its token. Throw where the answer isn't ok: an error page is no token.
 */
export interface TokenProvider {
  (): string | null | undefined | Promise<string | null | undefined>;
  /** Called by `connect`, for providers that know by themselves when the token changes. Gives back what ends it. */
  follow?(client: TokenClient): Unsubscribe;
}

/** What a provider that follows may do with a client. */
export interface TokenClient {
  /** Where the connection is. */
  readonly state: ConnectionState;
  /** With a token: hands it over. With the provider: it is asked for the next ones. */
  connect(token: TokenSource): Promise<void>;
  /** Ends the connection, as for who signed out. */
  disconnect(): void;
}

/** How reconnecting is paced (docs/PROTOCOL.md §6 says when it is done at all). */
export interface BackoffOptions {
  /** The first delay, in milliseconds. Default 5000. */
  initialMs?: number | undefined;
  /** The longest delay, in milliseconds. Default 30000. */
  maxMs?: number | undefined;
  /** What each delay is multiplied by. Default 2. */
  factor?: number | undefined;
  /** Attempts of one series, after which the client rests (`restMs`); 0 is a series without an end. Default 10. */
  attempts?: number | undefined;
  /** The share of a delay that is random, 0 to 1: 0.5 waits between half of it and all of it. Default 0.5. */
  jitter?: number | undefined;
  /** How long a connection lives before the attempts count from one again, in milliseconds. Default 5000. */
  resetAfterMs?: number | undefined;
  /**
   * How long the client rests after a series before it begins another one by itself, in milliseconds, less up to the share `jitter`.
   * The page's going on line, being seen, focused or restored, `connect`, `joinRoom` and a hook's mount begin one at once. 0: only those
   * do. Default 60000.
   */
  restMs?: number | undefined;
}

/** What a client can be told; everything has a default. */
export interface ClientOptions<E = unknown> {
  /** The endpoint; `http(s):` and paths are understood. Default: `/ws` on the page's host. */
  url?: string | URL | undefined;
  /** Whether several messages may arrive in one frame (§7). Default true. */
  batch?: boolean | undefined;
  /** Name and version of your application, for the server's log. */
  client?: string | undefined;
  backoff?: BackoffOptions | undefined;
  /**
   * Whose connection it is: your id of the signed-in user. With another one `connect` begins another session at once, and everything
   * that was held of the user before is forgotten first. With the same one a new token function is only taken over, which is
   * what hooks need whose function is written inline.
   */
  user?: string | undefined;
  /** How long a request waits for its answer, in milliseconds. Default 10000. */
  requestTimeoutMs?: number | undefined;
  /** How long `emit` tries, over reconnects, in milliseconds; 285000 at most once it was sent. Default 60000. */
  publishTimeoutMs?: number | undefined;
  /** How many messages are kept while offline. Default 256; past it the oldest is refused. */
  queueLimit?: number | undefined;
  /** How long one attempt to connect may take, in milliseconds. Default 10000. */
  connectTimeoutMs?: number | undefined;
  /**
   * Whether tabs of the same user share one connection; each still has its own rooms, positions and listeners. A text shares
   * among those that give the same one only, and stands for the user where the token doesn't name them. Default false.
   */
  shareAcrossTabs?: boolean | string | undefined;
  /** The WebSocket class, where there is no global one (Node: the `ws` package). */
  WebSocket?: unknown;
  /**
   * `strict` checks each event before a listener sees it: those of the contract by the server's own rules, others by
   * `validators`. A bad one becomes `protocol_error`. The checker is loaded with the first `connect` that wants it.
   * Default: `strict` in development (`process.env.NODE_ENV` is there, and not `production`), else `off`.
   */
  validate?: "strict" | "off" | undefined;
  /** What checks the data of events, by type, where `validate` is `strict`: your own, and the contract's further. */
  validators?: Validators<E> | undefined;
}

/** Where the connection is. */
export type ConnectionState =
  | { status: "idle" }
  | { status: "connecting"; attempt: number }
  | {
      status: "connected";
      clientId: string;
      authenticated: boolean;
      userId?: string;
      role?: string;
      /** The same session as before went on: the `clientId` is the same. */
      resumed: boolean;
      /** How long the client was away, in milliseconds; only when resumed. */
      downtimeMs?: number;
    }
  | {
      status: "reconnecting";
      attempt: number;
      /** When the next attempt is made, in milliseconds since 1970; left out while it waits for a newer token (`token_expired`). */
      retryAtMs?: number;
      code?: number;
      reason: string;
      /** The server's own words for it, or what to do. */
      message?: string;
    }
  | {
      status: "closed";
      code?: number;
      /** `disconnected`, the name of a close code, or a text. After a series of attempts it begins with `gave up`. */
      reason: string;
      /** The server's own words for it, or what to do. */
      message?: string;
      /** When the next series of attempts begins by itself, in milliseconds since 1970; left out where none does. */
      retryAtMs?: number;
    };

/** Where a room is. */
export interface RoomState {
  room: string;
  /** `left`: the server ended the membership; `reason` says why. */
  status: "joining" | "joined" | "refused" | "left";
  epoch?: string;
  /**
   * How far the room's stream was read when this was told: what comes next has a greater one. It is not renewed with each event, whose
   * own is `meta.offset`; `client.rooms` has them as of now.
   */
  offset?: number;
  /** Whether nothing was missed since the last time (§5). */
  recovered?: boolean;
  /** Connections in the room when it was joined. */
  clientCount?: number;
  /** Events of the snapshot that follow this news; left out where none does. */
  snapshotDue?: number;
  error?: { code: RealtimeErrorCode; message: string; retryAfterMs?: number };
  reason?: string;
}

/** What a store's reader sees: the same object until something in it changed. */
export interface ClientSnapshot {
  readonly state: ConnectionState;
  readonly rooms: readonly RoomState[];
}

/** Ends a subscription; calling it again does nothing. */
export type Unsubscribe = () => void;
