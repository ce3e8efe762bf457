/** A recorded session played to a client, as its server: what was heard then is heard again, in the same rhythm or faster. */
import type { Entry } from "./entries.js";
import { fromNdjson } from "./session-file.js";

/** How a session is played. */
export interface ReplayOptions {
  /** 1: as it was; 10: ten times as fast; `Infinity`: at once. */
  speed?: number | undefined;
}

/** For `createClient({ url, WebSocket })`: the client lives through the session. */
export interface Replay {
  url: string;
  WebSocket: typeof globalThis.WebSocket;
  /** Resolves when everything was played. */
  done: Promise<void>;
}

/** Sockets of the session: what was heard on each, and how long after its beginning. */
function socketsOf(entries: readonly Entry[]): { frames: { afterMs: number; frame: unknown }[] }[] {
  const sockets: { at: number; frames: { afterMs: number; frame: unknown }[] }[] = [];
  for (const { at, direction, type, frame } of entries) {
    if (direction === "client" && type === "socket") sockets.push({ at, frames: [] });
    if (direction !== "in") continue;
    // A recording that began later than its socket.
    if (sockets.length === 0) sockets.push({ at, frames: [] });
    const socket = sockets.at(-1);
    socket?.frames.push({ afterMs: at - socket.at, frame });
  }
  // Attempts that nobody answered are not lived through again.
  return sockets.filter(({ frames }) => frames.length > 0);
}

/**
 * Plays `session`, the text that the devtools saved. Each connection that the client makes gets the frames of the next
 * recorded one; what the client sends is not looked at. After the last frame of a connection that was not the last one it is lost.
 *
 * @throws {SessionFileError} the text is no session.
 */
export function createReplay(session: string, { speed = 1 }: ReplayOptions = {}): Replay {
  const sockets = socketsOf(fromNdjson(session));
  let finished = () => {};
  const done = new Promise<void>((resolve) => {
    finished = resolve;
  });
  if (sockets.length === 0) finished();

  class ReplaySocket extends EventTarget {
    readonly url: string;
    readonly protocol: string;
    readyState = 0;
    onopen: ((event: Event) => void) | null = null;
    onmessage: ((event: MessageEvent) => void) | null = null;
    onerror: ((event: Event) => void) | null = null;
    onclose: ((event: Event) => void) | null = null;
    readonly #timers: ReturnType<typeof setTimeout>[] = [];

    constructor(url: string | URL, protocols: string | string[] = []) {
      super();
      this.url = String(url);
      this.protocol = [protocols].flat()[0] ?? "";
      this.#later(0, () => {
        this.readyState = 1;
        this.#tell("open", new Event("open"));
      });
    }

    send(text: string): void {
      // The client speaks first (§1); a plain one never does.
      const { type } = JSON.parse(text) as { type?: string };
      if (type === "connect") this.#play();
    }

    close(code = 1000): void {
      for (const timer of this.#timers) clearTimeout(timer);
      this.#end(code);
    }

    #play(): void {
      const socket = sockets.shift();
      if (socket === undefined) return;
      for (const { afterMs, frame } of socket.frames) {
        this.#later(afterMs / speed, () => {
          this.#tell("message", new MessageEvent("message", { data: JSON.stringify(frame) }));
        });
      }
      const lastMs = (socket.frames.at(-1)?.afterMs ?? 0) / speed;
      this.#later(lastMs, () => (sockets.length > 0 ? this.#end(1006) : finished()));
    }

    #later(ms: number, run: () => void): void {
      this.#timers.push(
        setTimeout(() => {
          if (this.readyState < 2) run();
        }, ms),
      );
    }

    #end(code: number): void {
      if (this.readyState === 3) return;
      this.readyState = 3;
      this.#tell("close", Object.assign(new Event("close"), { code, reason: "", wasClean: code !== 1006 }));
    }

    #tell(name: "open" | "message" | "close", event: Event): void {
      (this[`on${name}`] as ((event: Event) => void) | null)?.call(this, event);
      this.dispatchEvent(event);
    }
  }

  return {
    url: "ws://replay.invalid/ws",
    WebSocket: ReplaySocket as unknown as typeof globalThis.WebSocket,
    done,
  };
}
