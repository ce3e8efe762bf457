/** The one error type of the SDK, and the codes that arise in the browser rather than on the server. */
import { describe } from "./error-details.js";
import type { ErrorBody, ErrorCode } from "./generated/protocol.js";

/** Codes of failures that no server sent. */
export type LocalErrorCode =
  /** The request got no answer in time. */
  | "timeout"
  /** The answer to a publish never came: the event was stored once, or not at all. */
  | "outcome_unknown"
  /** `disconnect()` was called, or the server closed for good, before it was done. */
  | "disconnected"
  /** The connection is closed for good; `message` is the reason. */
  | "closed"
  /** A series of attempts failed; `message` says where and why. The client rests, and then tries again (`backoff.restMs`). */
  | "gave_up"
  /** The first attempt of a `connect` failed; `message` says where, why, and what to set. It goes on trying. */
  | "unreachable"
  /** The WebAssembly module, or another part of the client, could not be fetched or compiled. It is tried again. */
  | "load_failed"
  /** This browser has no WebAssembly (iOS Lockdown Mode, a hardened browser): the client can't run. */
  | "no_webassembly"
  /** The page's Content-Security-Policy forbids WebAssembly: add `'wasm-unsafe-eval'` to its `script-src`. */
  | "wasm_blocked"
  /** The token provider threw, or gave something that is no token (the HTML of an error page); `cause` is what it threw. It is asked again. */
  | "token_failed"
  /** The options can't work as given. */
  | "bad_options"
  /** A listener threw; `cause` is what it threw. */
  | "listener_failed";

/** Any code; the server may know more of them than this version of the SDK. */
export type RealtimeErrorCode = ErrorCode | LocalErrorCode | (string & {});

/** What is known about a failure beside its code and message. */
export interface RealtimeErrorDetails {
  retryAfterMs?: number | undefined;
  room?: string | undefined;
  closeCode?: number | undefined;
  messageType?: string | undefined;
  cause?: unknown;
}

/** A refusal by the server (§6, error codes), or a failure on this side. */
export class RealtimeError extends Error {
  override readonly name = "RealtimeError";
  readonly code: RealtimeErrorCode;
  /** When trying again makes sense, in milliseconds from now. */
  declare readonly retryAfterMs: number | undefined;
  /** The room that it concerns. */
  declare readonly room: string | undefined;
  /** The WebSocket close code, where a connection ended by it (§6). */
  declare readonly closeCode: number | undefined;
  /** The `type` of the message that was refused. */
  declare readonly messageType: string | undefined;

  constructor(code: RealtimeErrorCode, message: string, details: RealtimeErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    describe(this, details);
  }
}

/** An error from what the server or the core reported, which is data and may miss anything. */
export function fromBody(body: unknown, details: RealtimeErrorDetails = {}): RealtimeError {
  const { code, message, retryAfterMs, room } = (body ?? {}) as Partial<ErrorBody>;
  return new RealtimeError(code ?? "internal", message ?? code ?? "unknown error", {
    ...details,
    retryAfterMs,
    room: room ?? details.room,
  });
}

/** What was thrown as an error of this package. */
export function asError(code: RealtimeErrorCode, cause: unknown): RealtimeError {
  return cause instanceof RealtimeError ? cause : new RealtimeError(code, messageOf(cause), { cause });
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
