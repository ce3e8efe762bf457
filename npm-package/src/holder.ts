/** Whose connection it is: the source of tokens, the token that was given last, and whether another one is another user's. */
import type { SystemFrame } from "./events.js";
import { changesUser, claimsOf, tokenOf } from "./token.js";
import type { TokenSource } from "./types.js";

/** See above. */
export class Holder {
  source: TokenSource = null;
  /** What the core was given last in this session; undefined before that. */
  #given: string | null | undefined;
  /** A text that the server took once: only of such a one it is known when it ends. */
  #taken: string | undefined;
  /** The server's clock, less ours, in milliseconds. */
  #ahead = 0;
  /** An answer that was waiting for a session of its own. */
  #kept: { source: TokenSource; token: string | null } | undefined;

  /** Whether the source can't be asked for a newer token. */
  get isText(): boolean {
    return typeof this.source !== "function";
  }

  /** Whether the text that is the source has expired, by the server's clock. */
  get hasExpired(): boolean {
    const { source } = this;
    if (typeof source !== "string" || source !== this.#taken) return false;
    return (claimsOf(source).exp ?? Number.POSITIVE_INFINITY) * 1000 <= Date.now() + this.#ahead;
  }

  /** Asks the source; `anyText`: see `tokenOf`. */
  async ask(anyText: boolean): Promise<string | null> {
    const kept = this.#kept;
    this.#kept = undefined;
    return kept?.source === this.source ? kept.token : tokenOf(this.source, anyText);
  }

  /** Whether this token is another user's than the one before. */
  isOthers(token: string | null): boolean {
    return this.#given !== undefined && changesUser(this.#given, token);
  }

  /** Whether this is what the core was given last. */
  has(token: string | null): boolean {
    return this.#given === token;
  }

  /** The core is given this one. */
  give(token: string | null): void {
    this.#given = token;
  }

  /** The server took the token. */
  taken(): void {
    if (typeof this.source === "string" && this.source === this.#given) this.#taken = this.source;
  }

  /** The next session begins with this answer of the source, without asking again. */
  keep(token: string | null): void {
    this.#kept = { source: this.source, token };
  }

  /** The next session is another user's. */
  forget(): void {
    this.#given = undefined;
    this.#taken = undefined;
  }

  /** A message of the server. A greeting tells its time; true where a text is about to expire. */
  heard(frame: SystemFrame): boolean {
    if (frame.type === "token_expiring") return typeof this.source === "string";
    if (frame.type !== "connection_established" && frame.type !== "reconnected") return false;
    const ahead = Date.parse(frame.timestamp) - Date.now();
    if (Number.isFinite(ahead)) this.#ahead = ahead;
    return false;
  }
}
