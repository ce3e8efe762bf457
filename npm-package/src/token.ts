/** Whom a token is for, as far as this side has to know it: to tell a refresh from another user. */
import type { TokenSource } from "./types.js";

/** What is read of a JWT, unverified. */
export interface Claims {
  sub?: string | undefined;
  /** Seconds since 1970. */
  exp?: number | undefined;
}

/** Of a JWT; nothing for what is none. */
export function claimsOf(token: string): Claims {
  try {
    const payload = token.split(".")[1] ?? "";
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (c) =>
      c.charCodeAt(0),
    );
    const { sub, exp } = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    return {
      sub: typeof sub === "string" ? sub : undefined,
      exp: typeof exp === "number" ? exp : undefined,
    };
  } catch {
    return {};
  }
}

/**
 * Whether going from one token to the other is a change of user, which must not go on in the same
 * session. A provider function stands for one user; who logs in as another calls `disconnect` first.
 */
export function changesUser(before: TokenSource, after: TokenSource): boolean {
  if (before === after || typeof before === "function" || typeof after === "function") return false;
  // From nobody to somebody is what `auth` is for (§3).
  if (before === null) return false;
  if (after === null) return true;
  return claimsOf(before).sub !== claimsOf(after).sub;
}
