/** A WebSocket without a network: what a page sends is handed to the fake server, and the other way round, in a microtask each. */

/** The server's end of a socket. */
export interface ServerEnd {
  /** Runs it in a microtask, and knows until then that something is under way. */
  later(run: () => void): void;
  opened(socket: FakeSocket): void;
  received(socket: FakeSocket, text: string): void;
  closed(socket: FakeSocket): void;
}

/** What a page sees of it: the `WebSocket` of browsers, as far as clients use it. */
export class FakeSocket extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  /** What a token function gives needn't be a JWT: tests have simpler ones. */
  static readonly takesAnyToken = true;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;
  readonly url: string;
  readonly extensions = "";
  readonly bufferedAmount = 0;
  protocol = "";
  binaryType: "blob" | "arraybuffer" = "blob";
  readyState: 0 | 1 | 2 | 3 = 0;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent<string>) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  /** Subprotocols that the page offered. */
  readonly offered: readonly string[];
  readonly #server: ServerEnd;

  constructor(server: ServerEnd, url: string | URL, protocols: string | string[] = []) {
    super();
    this.#server = server;
    this.url = String(url);
    this.offered = [protocols].flat();
    server.later(() => {
      if (this.readyState === 0) server.opened(this);
    });
  }

  /** To the server. */
  send(text: string): void {
    if (this.readyState === 0) throw new DOMException("still connecting", "InvalidStateError");
    if (this.readyState !== 1) return;
    this.#server.later(() => {
      if (this.readyState === 1) this.#server.received(this, text);
    });
  }

  /** By the page. */
  close(code = 1000, reason = ""): void {
    if (this.readyState >= 2) return;
    this.readyState = 2;
    this.#server.later(() => this.end(code, reason));
  }

  /** By the server: the handshake is done. */
  open(protocol: string): void {
    this.protocol = protocol;
    this.readyState = 1;
    this.#dispatch("open", new Event("open"));
  }

  /** By the server: a message for the page. */
  deliver(text: string): void {
    this.#server.later(() => {
      if (this.readyState === 1) this.#dispatch("message", new MessageEvent("message", { data: text }));
    });
  }

  /** By either side: it is over. 1006 is a loss without a goodbye. */
  end(code: number, reason: string): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#server.closed(this);
    const event = Object.assign(new Event("close"), { code, reason, wasClean: code !== 1006 });
    this.#dispatch("close", event);
  }

  #dispatch(name: "open" | "message" | "close", event: Event): void {
    this.dispatchEvent(event);
    (this[`on${name}`] as ((event: Event) => void) | null)?.call(this, event);
  }
}
