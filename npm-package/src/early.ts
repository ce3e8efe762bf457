/** Messages from before the core is there: kept in order, bounded, none lost in silence. */
import type { Core } from "./core.js";
import { RealtimeError } from "./errors.js";

/** One message that waits; exactly one of `pass` and `refuse` is called, once. */
interface Early {
  pass(core: Core): void;
  refuse(error: RealtimeError): void;
  timer?: ReturnType<typeof setTimeout>;
}

/** The queue between the first call and the loaded core, which has a queue of its own from then on. */
export class EarlyCalls {
  #waiting: Early[] = [];

  /** Queues a message; past `limit` the oldest is refused, past `timeoutMs` (0: never) this one. */
  add(
    call: { pass(core: Core): void; refuse(error: RealtimeError): void },
    limit: number,
    timeoutMs: number,
  ): void {
    const early: Early = { ...call };
    if (timeoutMs > 0) {
      early.timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((other) => other !== early);
        early.refuse(
          new RealtimeError("timeout", `not connected within ${timeoutMs} ms: call connect first`),
        );
      }, timeoutMs);
    }
    this.#waiting.push(early);
    if (this.#waiting.length > limit) {
      const oldest = this.#waiting.shift();
      clearTimeout(oldest?.timer);
      oldest?.refuse(
        new RealtimeError(
          "limit_reached",
          `more than ${limit} messages wait for a connection: this was the oldest`,
        ),
      );
    }
  }

  /** Hands everything to the core, in order. */
  drain(core: Core): void {
    for (const early of this.#take()) early.pass(core);
  }

  /** Refuses everything. */
  refuse(error: RealtimeError): void {
    for (const early of this.#take()) early.refuse(error);
  }

  #take(): Early[] {
    const all = this.#waiting;
    this.#waiting = [];
    for (const early of all) clearTimeout(early.timer);
    return all;
  }
}
