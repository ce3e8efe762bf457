/** Requests under way in the core, and the promises that wait for them. */
import { type Core, text } from "./core.js";
import { fromBody, messageOf, RealtimeError } from "./errors.js";

interface Waiting {
  readonly type: string;
  resolve(value: unknown): void;
  reject(error: RealtimeError): void;
}

/** Matches answers to promises by the core's request ids. */
export class Replies {
  readonly #waiting = new Map<number, Waiting>();
  /** Answers that arrive before the core has given back the id: a refusal on the spot. */
  #onTheSpot: Map<number, [boolean, unknown]> | undefined;

  /** Makes the request. */
  ask(
    core: Core,
    type: string,
    payload: unknown,
    timeoutMs: number | undefined,
    promise: Omit<Waiting, "type">,
    retry?: boolean,
  ): void {
    const outer = this.#onTheSpot;
    const answers = new Map<number, [boolean, unknown]>();
    this.#onTheSpot = answers;
    let id: number;
    try {
      id = core.request(text(type, "type"), payload, timeoutMs, retry);
    } catch (cause) {
      promise.reject(new RealtimeError("bad_request", messageOf(cause), { messageType: type, cause }));
      return;
    } finally {
      this.#onTheSpot = outer;
    }
    this.#waiting.set(id, { type, ...promise });
    for (const [other, [ok, value]] of answers) this.settle(other, ok, value);
  }

  /** Takes an answer of the core. */
  settle(id: number, ok: boolean, value: unknown): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) {
      this.#onTheSpot?.set(id, [ok, value]);
      return;
    }
    this.#waiting.delete(id);
    if (ok) waiting.resolve(value);
    else waiting.reject(fromBody(value, { messageType: waiting.type }));
  }

  /** The core is gone. */
  refuse(error: RealtimeError): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const waiting of all) waiting.reject(error);
  }
}
