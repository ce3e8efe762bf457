/** Which tabs may share: those of the same user, at the same endpoint, with the same version and contract. */
import { claimsOf } from "../token.js";

declare const __VERSION__: string;

/** Who a token is for, as text; undefined where it doesn't say, so that no other tab is known to have the same user. */
export function userOf(token: string | null | undefined): string | undefined {
  if (!token) return "";
  const { sub } = claimsOf(token);
  return sub === undefined ? undefined : `=${sub}`;
}

/** What tells groups apart. */
export interface Scope {
  url: string;
  /** The contract's fingerprint, as the core's `connect` has it. */
  schema: unknown;
  /** From `userOf`. */
  user: string;
  /** `shareAcrossTabs`, where the application gave a text. */
  given: string;
}

/** The name of the group's lock and channel. */
export function groupName({ url, schema, user, given }: Scope): string {
  return `osbackend ${JSON.stringify([__VERSION__, schema, url, user, given])}`;
}
