/** The one real socket of the tabs, written to as fast as the server allows for one connection. */

/** As much of a `WebSocket` as is used. */
export interface RealSocket {
  readonly readyState: number;
  /** What is told of it where it never opened. */
  readonly unreachable?: string;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: unknown;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

/** What is told of the socket. Nothing after `close`. */
export interface UpstreamListener {
  opened(): void;
  text(text: string): void;
  closed(code: number, reason: string): void;
}

const OPEN = 1;
/** With this a client closes that doesn't come back. */
export const GOODBYE = 4000;
/** Of the rate that the server allows; each core keeps to 80 % for its own tab. */
const SHARE = 0.9;

/** A socket with a queue. */
export class Upstream {
  readonly #socket: RealSocket;
  readonly #queue: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Messages a millisecond; 0 for any number. */
  #rate = 0;
  #burst = 0;
  #level = 0;
  #at = 0;

  constructor(socket: RealSocket, listener: UpstreamListener) {
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      listener.opened();
    };
    socket.onmessage = ({ data }) => listener.text(String(data));
    socket.onclose = ({ code, reason }) => {
      this.#silence();
      listener.closed(code, reason || (opened ? "" : (socket.unreachable ?? "")));
    };
  }

  /** What the server allows this connection, in messages a second and at once; 0 for any number. */
  limit(rate: number, burst: number): void {
    this.#rate = (rate * SHARE) / 1000;
    this.#burst = Math.max(1, burst * SHARE);
    this.#level = this.#burst;
    this.#at = performance.now();
  }

  /** Writes a message, in its turn; an urgent one at once. */
  send(text: string, urgent = false): void {
    if (urgent) {
      this.#write(text);
    } else {
      this.#queue.push(text);
      this.#flush();
    }
  }

  /** Closes it, and tells nothing of it any more. `goodbye`: nobody comes back (§6). */
  close(goodbye = false): void {
    this.#silence();
    if (goodbye) this.#socket.close(GOODBYE, "goodbye");
    else this.#socket.close(1000, "normal");
  }

  #flush(): void {
    while (this.#queue.length > 0) {
      const wait = this.#take();
      if (wait > 0) {
        // Also where timers are throttled (a hidden tab): what has accrued by then is written together.
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined;
          this.#flush();
        }, wait);
        return;
      }
      this.#write(this.#queue.shift() as string);
    }
  }

  /** Takes the right to write one message; else in how many milliseconds there is one. */
  #take(): number {
    if (this.#rate === 0) return 0;
    const now = performance.now();
    this.#level = Math.min(this.#burst, this.#level + (now - this.#at) * this.#rate);
    this.#at = now;
    if (this.#level < 1) return Math.ceil((1 - this.#level) / this.#rate);
    this.#level -= 1;
    return 0;
  }

  #write(text: string): void {
    // What a closing socket loses is answered by its close.
    if (this.#socket.readyState === OPEN) this.#socket.send(text);
  }

  #silence(): void {
    clearTimeout(this.#timer);
    this.#queue.length = 0;
    this.#socket.onopen = null;
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    // In Node an error without a listener ends the process.
    this.#socket.onerror = () => {};
  }
}
