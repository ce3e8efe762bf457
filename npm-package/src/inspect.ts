/** The seam for the devtools: which client is there, and the sockets that its cores open. Costs nothing until somebody looks. */
import type { CoreFactory } from "./core.js";

/** As much of a socket as is looked at. */
export interface SeenSocket {
  readonly url: string;
  readonly readyState: number;
  send(text: string): void;
  onmessage: ((event: MessageEvent) => void) | null;
}

/** A client that can be looked into. */
export interface Inspectable {
  /** The socket that was opened last, and who wants to know of the next. */
  readonly seen: { socket?: SeenSocket; opened: Set<(socket: SeenSocket) => void> };
}

/** The client that connected last, and who wants to know. */
export const newest: { client?: Inspectable; connected?: ((client: Inspectable) => void) | undefined } = {};

/** This one connects. */
export function connects(client: Inspectable): void {
  newest.client = client;
  newest.connected?.(client);
}

/** As `factory`, with each socket shown to `seen` before anything comes by it. */
export function watched(factory: CoreFactory, seen: Inspectable["seen"]): CoreFactory {
  return (options, sink) => {
    function WebSocket(url: string, protocols?: string) {
      const Socket = (options.WebSocket ?? globalThis.WebSocket) as new (
        url: string,
        protocols?: string,
      ) => SeenSocket;
      const socket = new Socket(url, protocols);
      seen.socket = socket;
      for (const opened of seen.opened) opened(socket);
      return socket;
    }
    return factory({ ...options, WebSocket }, sink);
  };
}
