/** The parts of the client that are loaded on demand: an attempt that fails is paced and repeated as one at connecting is. */
import { messageOf, RealtimeError } from "./errors.js";
import type { BackoffOptions, ConnectionState } from "./types.js";

/** What brings hope that the network is back; the core listens to the same once it is there. */
const SIGNS = ["online", "focus", "pageshow", "visibilitychange"] as const;

/** Failures that no repetition mends. */
const FINAL: ReadonlySet<string> = new Set(["no_webassembly", "wasm_blocked"]);

/** One client's attempts. */
export class Loading {
  #attempts = 0;
  #stop = () => {};

  /** The number of the attempt that is under way, or comes next. */
  get attempt(): number {
    return this.#attempts + 1;
  }

  /** The parts are there, or not wanted any more. */
  reset(): void {
    this.#stop();
    this.#attempts = 0;
  }

  /** An attempt failed: how the client stands now. `again` is called when it is time for the next one. */
  failed(
    cause: unknown,
    {
      initialMs = 5_000,
      maxMs = 30_000,
      factor = 2,
      attempts = 10,
      jitter = 0.5,
      restMs = 60_000,
    }: BackoffOptions,
    again: () => void,
  ): [state: ConnectionState & { status: "reconnecting" | "closed" }, error: RealtimeError] {
    const reason = `the client's modules could not be loaded: ${messageOf(cause)}`;
    const error =
      cause instanceof RealtimeError ? cause : new RealtimeError("load_failed", reason, { cause });
    if (FINAL.has(error.code)) {
      this.reset();
      return [{ status: "closed", reason: error.code, message: error.message }, error];
    }
    this.#attempts += 1;
    const gaveUp = attempts > 0 && this.#attempts >= attempts;
    const delay = gaveUp ? restMs : Math.min(maxMs, initialMs * factor ** (this.#attempts - 1));
    const waitMs = Math.max(1, delay * (1 - jitter * Math.random()));
    if (gaveUp) this.#attempts = 0;
    const begins = !gaveUp || restMs > 0;
    this.#wait(begins ? waitMs : undefined, again);
    const when = begins ? { retryAtMs: Math.round(Date.now() + waitMs) } : {};
    return gaveUp
      ? [{ status: "closed", reason: `gave up after the last attempt: ${reason}`, ...when }, error]
      : [{ status: "reconnecting", attempt: this.attempt, reason, ...when }, error];
  }

  #wait(ms: number | undefined, again: () => void): void {
    this.#stop();
    const go = () => {
      this.#stop();
      again();
    };
    const timer = ms === undefined ? undefined : setTimeout(go, ms);
    const page = globalThis.document as Document | undefined;
    const sign = () => {
      if (page?.visibilityState === "hidden") return;
      // It comes before its time: one more than those that are allowed.
      this.#attempts = Math.max(0, this.#attempts - 1);
      go();
    };
    const listen = (how: "addEventListener" | "removeEventListener") => {
      // `visibilitychange` bubbles from the document to the window.
      for (const name of SIGNS) globalThis[how]?.(name, sign);
    };
    listen("addEventListener");
    this.#stop = () => {
      clearTimeout(timer);
      listen("removeEventListener");
      this.#stop = () => {};
    };
  }
}
