/** What tabs tell each other over their channel. No message ever holds a user's token. */

/** A message of the protocol as a core writes it (docs/PROTOCOL.md §2). */
export interface ClientFrame {
  type: string;
  id?: number;
  payload?: Record<string, unknown>;
}

/** A message of the protocol as a server writes it. */
export interface ServerFrame {
  type: string;
  data?: Record<string, unknown>;
  room?: string;
  offset?: number;
  eventId?: string;
  timestamp?: string;
  id?: number | undefined;
  snapshot?: boolean;
}

/** From a tab to the leader. `from` is the tab, `socket` one of its connections to the leader. */
export type ToLeader =
  /** Wants to be connected. Said again to each new leader, and answered by `wait` at once. */
  | {
      kind: "hello";
      from: string;
      socket: string;
      /** The core's `connect`, without its token unless the leader is in the same tab. */
      connect: ClientFrame;
      /** How long the tab was without a connection, in milliseconds; 0 for its first one. */
      awayMs: number;
      visible: boolean;
    }
  | { kind: "frame"; from: string; socket: string; frame: ClientFrame }
  /** The core has closed this one; for good, where it said goodbye. */
  | { kind: "bye"; from: string; socket: string; goodbye: boolean };

/** From the leader to all tabs. */
export type FromLeader =
  /** It leads from now on. */
  | { kind: "leader"; leader: string }
  /** It heard the `hello` of this socket. */
  | { kind: "wait"; leader: string; to: readonly string[] }
  /** Text as a server sends it; without `to` for every socket that the leader has greeted. */
  | { kind: "text"; leader: string; to?: readonly string[]; text: string }
  /** These sockets are closed, as a server closes them. */
  | { kind: "closed"; leader: string; to: readonly string[]; code: number; reason: string }
  /** There is a connection again: who waits for their next attempt need not. */
  | { kind: "live"; leader: string }
  /** It leads no more; another will. */
  | { kind: "resigned"; leader: string };

/** Anything on the channel. */
export type TabMessage = ToLeader | FromLeader;

/** Whether a message is for the leader. */
export function isForLeader(message: TabMessage): message is ToLeader {
  return "from" in message;
}
