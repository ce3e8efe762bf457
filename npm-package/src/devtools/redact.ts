/** Takes secrets out of the frames that are shown and recorded, by the names of their fields, and out of addresses. */
import { SECRET_FIELDS } from "../generated/protocol.js";

/** In the place of a secret. */
export const REDACTED = "[redacted]";

/** Fields of the protocol that are always secret. */
const PROTOCOL: ReadonlySet<string> = new Set(SECRET_FIELDS);

/** Names of fields whose value is a secret whatever it is. */
const SECRET =
  /pass(?:word|wd|phrase|code)|secret|credential|authorization|api[_-]?key|private[_-]?key|cookie|^cvv$|^cvc$|^pin$|^otp$/i;

/** Names that may be a count as well (`tokensUsed: 512`): only a text or an object is a secret there. */
const SECRET_TEXT = /token|jwt|session[_-]?id|signature/i;

/** Leaves out the values of secret fields, at any depth. */
export class Redactor {
  readonly #more: ReadonlySet<string>;

  /** `more` are names of further fields, in any case. */
  constructor(more: readonly string[] = []) {
    this.#more = new Set(more.map((name) => name.toLowerCase()));
  }

  /** A frame, a state or any other JSON value, without its secrets. */
  redacted(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.redacted(item));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, held]) => [
        name,
        this.#isSecret(name, held) ? REDACTED : this.redacted(held),
      ]),
    );
  }

  #isSecret(name: string, value: unknown): boolean {
    if (value === null || value === undefined) return false;
    if (PROTOCOL.has(name) || SECRET.test(name) || this.#more.has(name.toLowerCase())) return true;
    return SECRET_TEXT.test(name) && (typeof value === "string" || typeof value === "object");
  }
}

/** Names of parameters whose values nobody is to see: a proxy's or a gateway's as much as ours. */
const SECRET_PARAMETER = /([?&#][^=&#]*(?:token|key|secret|auth|jwt|pass|sig)[^=&#]*=)[^&#]*/gi;

/** An address without the secrets that it may hold: a user and password, and values of parameters that are named like one. */
export function redactedUrl(url: string): string {
  return url
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, `$1${REDACTED}@`)
    .replace(SECRET_PARAMETER, `$1${REDACTED}`);
}
