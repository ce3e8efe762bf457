/**
 * A WebSocket that the page can cut, to show how the SDK recovers: it is given to the SDK as its
 * `WebSocket` option, so the SDK learns of the cut as of any other lost connection.
 */

/** In the range that asks a client to reconnect (PROTOCOL.md, 6). */
const CUT = 4000;

const open = new Set<WebSocket>();

export class DroppableWebSocket extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    super(url, protocols);
    open.add(this);
    this.addEventListener("close", () => open.delete(this));
  }
}

/** Cuts every connection made through `DroppableWebSocket`. */
export function dropConnections(): void {
  for (const socket of open) socket.close(CUT, "dropped_by_visitor");
}
