/** Takes secrets out of what is shown and recorded: the fields that the protocol marks, and tokens in addresses. */
import { SECRET_FIELDS } from "../generated/protocol.js";

/** In the place of a secret. */
export const REDACTED = "[redacted]";

const SECRETS: ReadonlySet<string> = new Set(SECRET_FIELDS);

/** A frame without its secrets. The data of a room's event is the application's, and stays. */
export function redacted(frame: unknown): unknown {
  if (Array.isArray(frame)) return frame.map(redacted);
  if (typeof frame !== "object" || frame === null) return frame;
  const isEvent = "eventId" in frame;
  return Object.fromEntries(
    Object.entries(frame).map(([name, value]) => {
      if (isEvent && name === "data") return [name, value];
      // `publish` carries an application's data as well.
      if (name === "payload" && (frame as { type?: unknown }).type === "publish") return [name, value];
      if (SECRETS.has(name)) return [name, REDACTED];
      return [name, redacted(value)];
    }),
  );
}

/** Names of parameters whose values nobody is to see: a proxy's or a gateway's as much as ours. */
const SECRET_PARAMETER = /([?&#][^=&#]*(?:token|key|secret|auth|jwt|pass|sig)[^=&#]*=)[^&#]*/gi;

/** An address without the secrets that it may hold: a user and password, and values of parameters that are named like one. */
export function redactedUrl(url: string): string {
  return url
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, `$1${REDACTED}@`)
    .replace(SECRET_PARAMETER, `$1${REDACTED}`);
}
