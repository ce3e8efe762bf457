/**
 * A WebSocket on a line that the page can make bad: cut it for a while, or delay the frames that it carries. It is given to
 * the SDK as its `WebSocket` option, so the SDK learns of the fault as of any other.
 */
import { DeadSocket } from "./dead-socket.ts";

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

const open = new Set<DelayedWebSocket>();
let delayMs = 0;
/** Until when the line is cut, by `performance.now()`. */
let cutUntil = 0;

class DelayedWebSocket extends WebSocket {
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

/** The class for the SDK. While the line is cut, no packet leaves: a new socket is a dead one. */
export const FaultyWebSocket = new Proxy(DelayedWebSocket, {
  construct: (target, [url, protocols]: [string | URL, string | string[] | undefined]) =>
    performance.now() < cutUntil ? new DeadSocket(url) : new target(url, protocols),
});

/** To the other tabs: the one that has the connection may be any of them. */
const tabs = new BroadcastChannel("osbackend-demo-cut");
tabs.onmessage = ({ data }: MessageEvent<number>) => cut(data);

function cut(forMs: number): void {
  cutUntil = performance.now() + forMs;
  for (const socket of open) socket.close(CUT, "dropped_by_visitor");
  // A line that is mended says so, as the browser does: the SDK need not wait for its next attempt.
  setTimeout(() => dispatchEvent(new Event("online")), forMs);
}

/**
 * Cuts every connection made through `FaultyWebSocket` for so many milliseconds, here or in every tab. Frames on their way
 * are lost, and no new connection opens meanwhile.
 */
export function cutConnections(forMs: number, inAllTabs: boolean): void {
  cut(forMs);
  if (inAllTabs) tabs.postMessage(forMs);
}

/** From now on each frame takes so long in each direction. */
export function delayFrames(ms: number): void {
  delayMs = ms;
}
