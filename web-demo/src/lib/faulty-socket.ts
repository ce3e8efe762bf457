/**
 * A WebSocket on a line that the page can make bad: cut it, or delay what it carries. It is given to the SDK as its
 * `WebSocket` option, so the SDK learns of the fault as of any other.
 */

/** In the range that asks a client to reconnect (PROTOCOL.md, 6). */
const CUT = 4000;

/** What a line carries in one direction: delayed, and in order. */
class Line {
  #waiting: (() => void)[] = [];
  /** When the last of them is let go. */
  #until = 0;

  /** Lets `run` go after the delay, and never before those that came before it. */
  pass(run: () => void): void {
    const now = performance.now();
    const at = Math.max(this.#until, now + delayMs);
    if (at <= now && this.#waiting.length === 0) {
      run();
      return;
    }
    this.#until = at;
    this.#waiting.push(run);
    setTimeout(() => this.#waiting.shift()?.(), at - now);
  }

  /** What is on its way is lost. */
  cut(): void {
    this.#waiting = [];
  }
}

const open = new Set<FaultyWebSocket>();
let delayMs = 0;

export class FaultyWebSocket extends WebSocket {
  readonly #in = new Line();
  readonly #out = new Line();
  #listener: WebSocket["onmessage"] = null;

  constructor(url: string | URL, protocols?: string | string[]) {
    super(url, protocols);
    open.add(this);
    this.addEventListener("close", () => {
      open.delete(this);
      this.#in.cut();
      this.#out.cut();
    });
    super.addEventListener("message", (event) => {
      this.#in.pass(() => this.#listener?.call(this, event));
    });
  }

  // The SDK listens in this way only.
  override get onmessage(): WebSocket["onmessage"] {
    return this.#listener;
  }

  override set onmessage(listener: WebSocket["onmessage"]) {
    this.#listener = listener;
  }

  override send(data: Parameters<WebSocket["send"]>[0]): void {
    this.#out.pass(() => {
      if (this.readyState === WebSocket.OPEN) super.send(data);
    });
  }
}

/** To the other tabs: the one that has the connection may be any of them. */
const tabs = new BroadcastChannel("osbackend-demo-cut");
tabs.onmessage = () => cut();

function cut(): void {
  for (const socket of open) socket.close(CUT, "dropped_by_visitor");
}

/** Cuts every connection made through `FaultyWebSocket`, here or in any tab; what was on its way is lost. */
export function dropConnections(inAllTabs: boolean): void {
  cut();
  if (inAllTabs) tabs.postMessage("cut");
}

/** From now on each frame takes so long in each direction. */
export function delayFrames(ms: number): void {
  delayMs = ms;
}
