//! The TypeScript declarations that belong to the class.

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &'static str = r#"
export interface ClientOptions {
  /** ws:// or wss://, with the path. */
  url: string;
  /** Accept several messages in one frame; true unless set. */
  batch?: boolean;
  /** Name and version of the application, for the server's log. */
  client?: string;
  backoff?: {
    /** Delay after the first failure, before jitter. 5000. */
    initialMs?: number;
    /** 30000. */
    maxMs?: number;
    /** 2. */
    factor?: number;
    /** Of one series. 10; 0 means unlimited. */
    attempts?: number;
    /** Share of the delay that is random, 0 to 1. 0.5. */
    jitter?: number;
    /** A session that lived this long makes the next failure the first one again. 5000. */
    resetAfterMs?: number;
    /** The rest after a series, before jitter. 60000; 0 means that no other series begins by itself. */
    restMs?: number;
  };
  /** 10000. */
  requestTimeoutMs?: number;
  /** For the answer to a publish, over reconnects. 60000. */
  publishTimeoutMs?: number;
  /** Messages that wait while offline; beyond it the oldest is refused. 256. */
  queueLimit?: number;
  /** For each of token, socket and greeting. 10000. */
  connectTimeoutMs?: number;
  /** Instead of the global one. */
  WebSocket?: new (url: string, protocols?: string | string[]) => WebSocket;
}

export type ConnectionState =
  | { status: "idle" }
  | { status: "connecting"; attempt: number }
  | {
      status: "connected";
      clientId: string;
      authenticated: boolean;
      userId?: string;
      role?: string;
      resumed: boolean;
      downtimeMs?: number;
    }
  | { status: "reconnecting"; attempt: number; retryAtMs?: number; code?: number; reason: string; message?: string }
  | { status: "closed"; code?: number; reason: string; message?: string; retryAtMs?: number };

export interface RoomState {
  room: string;
  status: "joining" | "joined" | "refused";
  epoch?: string;
  offset?: number;
  recovered?: boolean;
  clientCount?: number;
  snapshotDue?: number;
  error?: Failure;
}

export interface Failure {
  /** An error code of the protocol, `timeout` or `outcome_unknown`. */
  code: string;
  message: string;
  retryAfterMs?: number;
}

export interface EventFrame {
  type: string;
  data: any;
  room: string;
  /** Left out of an ephemeral event. */
  offset?: number;
  eventId: string;
  timestamp: string;
  snapshot?: boolean;
  /** Missed at its time, and brought by the recovery of its room. */
  replayed?: boolean;
  skipped?: number;
}

export interface ServerFrame {
  type: string;
  data: any;
  room?: string;
  timestamp: string;
}

export interface Sink {
  /** Before every connect, and before the token expires; answer by `setToken` or `tokenFailed`. */
  needToken(): void;
  state(state: ConnectionState): void;
  /** `first` is false when another room has delivered the same `eventId`. */
  event(frame: any, first: boolean): void;
  system(frame: any): void;
  room(state: RoomState): void;
  /** `value` is the answer's data, or a `Failure`. */
  reply(id: number, ok: boolean, value: any): void;
  sendRefused(type: string, payload: any, error: Failure): void;
}
"#;
