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

/** An address without the token that a query may hold. */
export function redactedUrl(url: string): string {
  return url.replace(/([?&](?:access_)?token=)[^&#]*/gi, `$1${REDACTED}`);
}
