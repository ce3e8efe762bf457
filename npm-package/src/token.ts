/** Tokens as far as this side has to know them: whose one is, whether it can be one, and when it has expired. */
import { text } from "./core.js";
import type { TokenSource } from "./types.js";

/** What is read of a JWT, unverified. */
export interface Claims {
  sub?: string | undefined;
  /** Seconds since 1970. */
  exp?: number | undefined;
  /** The claims that the user's rights hang on, as text: `role`, `app_metadata` and `rooms`. */
  rights?: string | undefined;
}

/** Of a JWT; nothing for what is none. */
export function claimsOf(token: string): Claims {
  try {
    const payload = token.split(".")[1] ?? "";
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (c) =>
      c.charCodeAt(0),
    );
    const { sub, exp, role, app_metadata, rooms } = JSON.parse(new TextDecoder().decode(bytes)) as Record<
      string,
      unknown
    >;
    return {
      sub: typeof sub === "string" ? sub : undefined,
      exp: typeof exp === "number" ? exp : undefined,
      rights: JSON.stringify([role, app_metadata, rooms]),
    };
  } catch {
    return {};
  }
}

/**
 * Whether going from one token to the other is a change of user, which must not go on in the same session. Where it can't be read
 * whose a token is, the server tells.
 */
export function changesUser(before: string | null, after: string | null): boolean {
  // From nobody to somebody is what `auth` is for (§3).
  if (before === after || before === null) return false;
  if (after === null) return true;
  return claimsOf(before).sub !== claimsOf(after).sub;
}

/** Three parts of base64url: what a JWT looks like, and no error page does. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;

/** Asks the source. Rejects where a function gives what can't be a token; `anyText`: for a server that takes others than JWTs, in tests. */
export async function tokenOf(source: TokenSource, anyText: boolean): Promise<string | null> {
  if (typeof source !== "function") return source ? text(source, "the token") : null;
  const token = await source();
  if (!token) return null;
  const given = text(token, "the token");
  if (!anyText && !JWT.test(given.trim())) {
    // A text that may be a secret after all is not repeated.
    const what = /^[<{]/.test(given.trim()) ? given.trim().slice(0, 40) : `${given.length} characters`;
    throw new TypeError(`the function gave no JWT (${what}): throw where the answer is not ok`);
  }
  return given.trim();
}
