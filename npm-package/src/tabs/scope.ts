/** Which tabs may share: those of the same user with the same rights, at the same endpoint, with the same version and contract. */
import { claimsOf } from "../token.js";

declare const __VERSION__: string;

/**
 * The user of a token and the claims that its rights hang on, as text; undefined where the token doesn't say, so that no other
 * tab is known to have the same user. A tab whose token is narrower than the leader's must not use the leader's connection.
 */
export function userOf(token: string | null | undefined): string | undefined {
  if (!token) return "";
  const { sub, rights } = claimsOf(token);
  return sub === undefined ? undefined : `=${JSON.stringify([sub, rights])}`;
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
