/** Tells of failures: to listeners for "error", else to the console. */
import { isDevelopment } from "./development.js";
import { Emitter } from "./emitter.js";
import { messageOf, RealtimeError } from "./errors.js";
import { advise, reportFailure, reportUnheard } from "./report.js";

/** One client's, and the listeners of what the client itself tells. */
export class Teller {
  readonly local = new Emitter((thrown, name) => this.listenerFailed(thrown, name));
  /** Since `connect` nothing worked, and nothing was told yet. */
  #isFirst = true;
  #advised = false;

  /** `isEnd`: nothing works from here on. */
  failed(error: RealtimeError, isEnd = false): void {
    if (this.local.has("error")) this.local.emit("error", error);
    // Of a text that expires one warning is enough.
    else if (error.code !== "token_expired" || !this.#advised) reportUnheard(error, isEnd);
  }

  /** The application begins anew. */
  begins(): void {
    this.#isFirst = true;
  }

  /** The connection is there: a loss of it is no failure to connect. */
  works(): void {
    this.#isFirst = false;
  }

  /** An attempt failed: told once, where none has worked yet. */
  attemptFailed(error: RealtimeError): void {
    if (!this.#isFirst) return;
    this.#isFirst = false;
    this.failed(error);
  }

  /** The token, which is a text, ends soon: one warning in development. */
  textExpires(): void {
    if (this.#advised || !isDevelopment()) return;
    this.#advised = true;
    advise(
      "the token is a text, and about to expire, and the connection with it: give connect() a function that fetches a token, or a newer text",
    );
  }

  /** It has ended, and the connection with it. */
  textExpired(error: RealtimeError): void {
    this.failed(error, true);
    this.#advised = true;
  }

  listenerFailed(thrown: unknown, name: string): void {
    // A listener of "error" that throws must not be told of itself.
    if (name === "error" || !this.local.has("error")) {
      reportFailure(thrown);
      return;
    }
    const message = `a listener of "${name}" threw: ${messageOf(thrown)}`;
    this.local.emit("error", new RealtimeError("listener_failed", message, { cause: thrown }));
  }
}
