/** How often a token function that is another one at each render is asked whose it is. */
import type { RealtimeClient } from "../client.js";
import { isDevelopment } from "../development.js";
import { advise } from "../report.js";

/** So many changes are asked about at once: a function that is kept (`useCallback`) changes with its user only. */
const AT_ONCE = 3;
/** From then on it is taken for one that is written inline, and asked at most once in this time, milliseconds, which doubles. */
const FIRST_MS = 10_000;
const LONGEST_MS = 320_000;

let advised = false;

/** One component's. */
export class Rechecks {
  #left = AT_ONCE;
  #waitMs = FIRST_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** The function is another one. */
  ask(client: RealtimeClient): void {
    // Only a connection, or one that is being made again, can be another user's; any other asks by itself.
    if (client.state.status !== "connected" && client.state.status !== "reconnecting") return;
    if (this.#left > 0) {
      this.#left -= 1;
      client.recheck();
      return;
    }
    if (this.#timer !== undefined) return;
    if (!advised && isDevelopment()) {
      advised = true;
      advise(
        "the token function is a new one at each render, and has to be asked again and again whose it is: say it, useWebSocket(getToken, { user: userId })",
      );
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      client.recheck();
    }, this.#waitMs);
    this.#waitMs = Math.min(LONGEST_MS, this.#waitMs * 2);
  }

  /** The component is gone. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
