/** What the application asks of the server: handed to the core, or kept until there is one that may have it. */
import { type Core, text } from "./core.js";
import { EarlyCalls } from "./early.js";
import { fromBody, messageOf, RealtimeError } from "./errors.js";
import type { Publish, Published } from "./generated/protocol.js";
import { keyed } from "./keyed.js";
import type { Replies } from "./replies.js";
import type { RequestOptions } from "./requests.js";
import type { PublishOptions } from "./room.js";
import type { ClientOptions } from "./types.js";

const QUEUE_LIMIT = 256;
const PUBLISH_TIMEOUT_MS = 60_000;
const REQUEST_TIMEOUT_MS = 10_000;

/** What a core says where there is one. */
const closed = () => new RealtimeError("unavailable", "the connection is closed: call connect() first");

/** What it needs of the client. */
export interface OutgoingHost {
  readonly replies: Replies;
  /** The core, if there is one, and it is of the user who asks. */
  core(): Core | undefined;
  /** Closed, until the application connects again. */
  isClosed(): boolean;
  options(): ClientOptions;
  failed(error: RealtimeError): void;
}

/** See above. */
export class Outgoing {
  readonly #host: OutgoingHost;
  readonly #early = new EarlyCalls();

  constructor(host: OutgoingHost) {
    this.#host = host;
  }

  /** Without an answer. */
  send(type: string, payload?: object): void {
    const core = this.#host.core();
    if (core !== undefined) {
      core.send(text(type, "type"), payload);
      return;
    }
    const refuse = (error: RealtimeError) => this.#host.failed(fromBody(error, { messageType: type }));
    if (this.#host.isClosed()) {
      refuse(closed());
      return;
    }
    const pass = (core: Core) => {
      try {
        core.send(text(type, "type"), payload);
      } catch (cause) {
        // What JSON can't hold. Its sender is long gone, and those behind it in the queue must not suffer.
        refuse(new RealtimeError("bad_request", messageOf(cause), { cause }));
      }
    };
    this.#early.add({ pass, refuse }, this.#limit, 0);
  }

  /** With an answer. */
  request(type: string, given: unknown, { timeoutMs }: RequestOptions = {}): Promise<unknown> {
    // A publish settles once: with its key the core may send it again after a lost connection.
    const publish = type === "publish";
    const payload = publish ? keyed(given) : given;
    const retry = publish && (given as Partial<Publish> | undefined)?.ephemeral !== true;
    return new Promise((resolve, reject) => {
      const promise = { resolve, reject };
      const ask = (core: Core, ms?: number) =>
        this.#host.replies.ask(core, type, payload, ms, promise, retry);
      const core = this.#host.core();
      if (core !== undefined) return ask(core, timeoutMs);
      if (this.#host.isClosed()) return reject(closed());
      const { requestTimeoutMs = REQUEST_TIMEOUT_MS, publishTimeoutMs = PUBLISH_TIMEOUT_MS } =
        this.#host.options();
      const total = timeoutMs ?? (retry ? publishTimeoutMs : requestTimeoutMs);
      const asked = Date.now();
      const pass = (core: Core) => ask(core, Math.max(1, total - (Date.now() - asked)));
      this.#early.add({ pass, refuse: reject }, this.#limit, total);
    });
  }

  /** An event into a room. */
  publish(
    room: string,
    type: string,
    data: unknown,
    { timeoutMs, ...options }: PublishOptions = {},
  ): Promise<Published> {
    const payload = { room, type, data, ...options };
    return this.request("publish", payload, { timeoutMs } as RequestOptions) as Promise<Published>;
  }

  /** Hands everything that waits to the core, in order. */
  drain(core: Core): void {
    this.#early.drain(core);
  }

  /** Refuses everything that waits. */
  refuse(error: RealtimeError): void {
    this.#early.refuse(error);
  }

  get #limit(): number {
    return this.#host.options().queueLimit ?? QUEUE_LIMIT;
  }
}
