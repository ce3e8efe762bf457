/** The socket that a core has in place of a real one: what is written to it goes to the tab, and from there to the leader. */

/** Whom a socket belongs to. */
export interface SocketOwner {
  /** The core wrote something. */
  sent(socket: TabSocket, text: string): void;
  /** The core closed it. */
  ended(socket: TabSocket, code: number | undefined): void;
}

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 3;

/** As much of a `WebSocket` as a core uses. It opens at once: whether there is a connection the greeting tells. */
export class TabSocket {
  readyState = CONNECTING;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  /** Unique among all tabs. */
  readonly key: string;
  /** Who answered its `hello`. */
  leader: string | undefined;
  /** Whether the leader has greeted it: what goes to all is for it too. */
  greeted = false;
  readonly #owner: SocketOwner;

  constructor(key: string, owner: SocketOwner) {
    this.key = key;
    this.#owner = owner;
    queueMicrotask(() => {
      if (this.readyState !== CONNECTING) return;
      this.readyState = OPEN;
      this.onopen?.();
    });
  }

  get isClosed(): boolean {
    return this.readyState === CLOSED;
  }

  send(text: string): void {
    if (this.readyState === OPEN) this.#owner.sent(this, text);
  }

  close(code?: number): void {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    this.#owner.ended(this, code);
  }

  /** A frame came. */
  heard(text: string): void {
    if (this.readyState === OPEN) this.onmessage?.({ data: text });
  }

  /** The other side closed it, or is gone. */
  lost(code: number, reason: string): void {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    this.onclose?.({ code, reason });
  }
}
