/**
 * Events on their way to one call of the API: in order, one request at a time. What comes while a request is under way goes
 * together in the next one. Each event has an idempotency key, so a request without an answer is sent again.
 */
import { BackendError, isTransient } from "./errors.js";
import { call, noApi, type Target, wasNeverSent } from "./http.js";

/** Bounds of a lane. */
export interface LaneOptions {
  /** Events of one request at most. */
  maxBatch: number;
  /** Events that may wait. */
  queueLimit: number;
  /** How long an event is tried, in milliseconds. */
  retryForMs: number;
  /** The first pause between two tries, in milliseconds; it doubles up to `retryMaxMs`. */
  retryInitialMs: number;
  retryMaxMs: number;
}

/** Of a body; the server takes 1 MiB. */
const MAX_BYTES = 512 * 1024;

interface Waiting {
  text: string;
  bytes: number;
  /** When it came. */
  since: number;
  /** Whether a request with it may have been heard. */
  sent: boolean;
  resolve: (answer: unknown) => void;
  reject: (error: BackendError) => void;
}

export class Lane {
  readonly #target: Target;
  readonly #path: string;
  readonly #options: LaneOptions;
  readonly #closed: AbortSignal;
  #queue: Waiting[] = [];
  #isRunning = false;
  #underWay = 0;

  constructor(target: Target, path: string, options: LaneOptions, closed: AbortSignal) {
    this.#target = target;
    this.#path = path;
    this.#options = options;
    this.#closed = closed;
  }

  /** Queues one event; its answer. */
  add(event: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#closed.aborted) {
        reject(new BackendError("closed", "the backend client is closed"));
        return;
      }
      if (this.#queue.length + this.#underWay >= this.#options.queueLimit) {
        const message = `${this.#options.queueLimit} events are waiting for the server already: is it reachable?`;
        reject(new BackendError("queue_full", message));
        return;
      }
      let text: string;
      try {
        text = JSON.stringify(event);
      } catch (cause) {
        reject(new BackendError("bad_request", `the event is not JSON: ${String(cause)}`, { cause }));
        return;
      }
      const bytes = new TextEncoder().encode(text).length;
      this.#queue.push({ text, bytes, since: Date.now(), sent: false, resolve, reject });
      if (!this.#isRunning) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    // What is emitted in one go is sent in one request.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#take();
      this.#underWay = batch.length;
      await this.#deliver(batch);
    }
    this.#underWay = 0;
    this.#isRunning = false;
  }

  #take(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const event of this.#queue) {
      bytes += event.bytes;
      if (count > 0 && (bytes > MAX_BYTES || count >= this.#options.maxBatch)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  /** Until each of the batch is settled. */
  async #deliver(batch: Waiting[]): Promise<void> {
    let left = batch;
    for (let attempt = 0; left.length > 0; ) {
      try {
        const body = `[${left.map(({ text }) => text).join(",")}]`;
        const answers = await call(this.#target, this.#path, body, this.#closed);
        if (!Array.isArray(answers) || answers.length !== left.length) throw noApi(this.#target);
        for (const [index, event] of left.entries()) event.resolve(answers[index]);
        return;
      } catch (thrown) {
        const error = thrown as BackendError;
        if (this.#closed.aborted) return reject(left, closedError(error));
        if (isTransient(error)) {
          if (!wasNeverSent(error)) for (const event of left) event.sent = true;
          left = this.#giveUpOld(left, error);
          if (left.length > 0) await this.#pause(attempt, error.retryAfterMs);
          attempt += 1;
          continue;
        }
        // None of the array was published. The server names the first bad one.
        const bad = placeOf(error);
        const culprit = bad === undefined ? undefined : left[bad.index];
        if (culprit === undefined) return reject(left, error);
        const { code, status } = error;
        const message = error.message.replace(`[${bad?.index}].`, "").replace(`[${bad?.index}]: `, "");
        culprit.reject(new BackendError(code, message, { status, path: bad?.path }));
        left = left.filter((event) => event !== culprit);
      }
    }
  }

  /** Rejects those that were tried for long enough, or would be before the server wants to be asked again. */
  #giveUpOld(events: Waiting[], error: BackendError): Waiting[] {
    const since = Date.now() + (error.retryAfterMs ?? 0) - this.#options.retryForMs;
    return events.filter((event) => {
      if (event.since > since) return true;
      const code = event.sent ? "outcome_unknown" : error.code;
      const message = `not published in ${this.#options.retryForMs} ms: ${error.message}`;
      event.reject(new BackendError(code, message, { status: error.status, cause: error }));
      return false;
    });
  }

  #pause(attempt: number, atLeastMs = 0): Promise<void> {
    const { retryInitialMs, retryMaxMs } = this.#options;
    const full = Math.min(retryInitialMs * 2 ** attempt, retryMaxMs);
    // Half of it at random, so that many backends of one server don't come back together.
    const ms = Math.max(full / 2 + (Math.random() * full) / 2, atLeastMs);
    return pause(ms, this.#closed);
  }
}

/** So long, or until it is closed. */
export function pause(ms: number, closed: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      closed.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    closed.addEventListener("abort", done);
  });
}

function reject(events: Waiting[], error: BackendError): void {
  for (const event of events) event.reject(error);
}

function closedError(cause: BackendError): BackendError {
  return new BackendError("closed", "the backend client was closed before the server answered", { cause });
}

/** `[2].data.progress`: which event of the array, and where in it. */
function placeOf({ path }: BackendError): { index: number; path: string | undefined } | undefined {
  const found = /^\[(\d+)\](?:\.(.*))?$/.exec(path ?? "");
  return found === null ? undefined : { index: Number(found[1]), path: found[2] };
}
