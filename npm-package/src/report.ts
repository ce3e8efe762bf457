/** Where failures go that nobody listens for. */
import type { RealtimeError } from "./errors.js";

/** A listener threw: told as the browser tells of its own listeners. Never throws. */
export function reportFailure(thrown: unknown): void {
  if (typeof globalThis.reportError === "function") globalThis.reportError(thrown);
  // biome-ignore lint/suspicious/noConsole: Node has no reportError
  else console.error(thrown);
}

/** A refusal without a listener for "error": visible all the same. `isEnd`: nothing works from here on. */
export function reportUnheard(error: RealtimeError, isEnd = false): void {
  const about = [error.messageType, error.room].filter(Boolean).join(" ");
  // biome-ignore lint/suspicious/noConsole: silence would hide it
  console[isEnd ? "error" : "warn"](
    `[osbackend] ${about === "" ? "" : `${about}: `}${error.code}: ${error.message}`,
  );
}

/** Something for the developer to change, though the page works for now. */
export function advise(advice: string): void {
  // biome-ignore lint/suspicious/noConsole: there is no failure to tell it by
  console.warn(`[osbackend] ${advice}`);
}
