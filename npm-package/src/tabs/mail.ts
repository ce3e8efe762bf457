/** Sorts the messages of one frame by who gets them, in order, and leaves a frame that is for all as it came. */
import type { ServerFrame } from "./messages.js";

/** Sends text to these sockets, or to all. */
export type Deliver = (to: readonly string[] | undefined, text: string) => void;

/** The messages of one frame. */
export class Mail {
  readonly #parts: { to: readonly string[] | undefined; messages: ServerFrame[] }[] = [];
  /** The frame, as long as everything in it is passed on unchanged. */
  #text: string | undefined;

  constructor(text?: string) {
    this.#text = text;
  }

  /** A message for these; without `to` for all. */
  add(to: readonly string[] | undefined, message: ServerFrame): void {
    const last = this.#parts.at(-1);
    if (last !== undefined && same(last.to, to)) last.messages.push(message);
    else this.#parts.push({ to, messages: [message] });
  }

  /** Something of the frame is left out or changed. */
  changed(): void {
    this.#text = undefined;
  }

  /** Sends everything. */
  deliver(deliver: Deliver): void {
    const parts = this.#parts.splice(0);
    for (const { to, messages } of parts) {
      const whole = parts.length === 1 ? this.#text : undefined;
      deliver(to, whole ?? JSON.stringify(messages.length === 1 ? messages[0] : messages));
    }
    this.#text = undefined;
  }
}

function same(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return (
    a === b ||
    (a !== undefined && b !== undefined && a.length === b.length && a.every((key, at) => key === b[at]))
  );
}
