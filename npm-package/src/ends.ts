/** What an application is told when a connection can't be made, or has ended without its asking. */
import { RealtimeError } from "./errors.js";
import type { ClientOptions, ConnectionState } from "./types.js";

/** A series of attempts is over, and another one comes. */
export function isResting(state: ConnectionState): boolean {
  return state.status === "closed" && state.reason.startsWith("gave up");
}

/** Nothing comes until the application connects again. */
export function hasEnded(state: ConnectionState): boolean {
  return state.status === "closed" && !isResting(state);
}

/** Where it should have led to, and what to set if that was not meant. */
function about(url: string | URL | undefined): string {
  return url === undefined
    ? "No url was given, so it is /ws of the page's own host: give { url }, or proxy /ws there"
    : "Is the server there (url), and is this page in its ALLOWED_ORIGINS?";
}

/** What ended the connection, or the first attempt at one. */
export function endOf(
  state: ConnectionState & { status: "reconnecting" | "closed" },
  { url }: ClientOptions,
): RealtimeError {
  const { code: closeCode, reason, message, retryAtMs } = state;
  const isName = /^[a-z_]+$/.test(reason);
  const resting = isResting(state);
  const end = state.status === "closed" ? "closed" : "unreachable";
  const code = isName ? reason : resting ? "gave_up" : end;
  // Where the server said something about this client, the address is right; and a token that can't be had has nothing to do with it.
  const why = isName
    ? `closed: ${reason}`
    : /no token|modules/.test(reason)
      ? reason
      : `${reason}. ${about(url)}`;
  const next = resting && retryAtMs !== undefined ? "; the next attempt is made later" : "";
  return new RealtimeError(code, `${message ?? why}${next}`, { closeCode });
}
