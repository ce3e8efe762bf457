/** Idempotency keys: with one, the server stores an event once, however often it is sent (§3). */
import type { Publish } from "./generated/protocol.js";

let prefix: string | undefined;
let next = 0;

/** The payload of a publish, with a key where it has none; an ephemeral event, which is not retried, gets none. */
export function keyed(payload: unknown): unknown {
  const given = payload as Partial<Publish> | null | undefined;
  if (typeof given !== "object" || !given || given.ephemeral || given.idempotencyKey !== undefined)
    return given;
  prefix ??= `${Date.now()}${Math.random()}-`;
  next += 1;
  return { ...given, idempotencyKey: prefix + next };
}
