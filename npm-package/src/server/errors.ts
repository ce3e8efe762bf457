/** How a call to the server's HTTP API fails, and whether it may be tried again. */
import { describe } from "../error-details.js";
import type { ErrorBody, ErrorCode } from "../generated/protocol.js";

/** Codes that no server sent. */
export type BackendErrorCode =
  | ErrorCode
  /** The options can't work as given. */
  | "bad_options"
  /** More is waiting than `queueLimit` allows. */
  | "queue_full"
  /** Calls got no answer for `retryForMs`: the event was published once, or not at all. */
  | "outcome_unknown"
  /** `close()` was called, or its time was over. */
  | "closed"
  | (string & {});

/** What is known about a failure beside its code and message. */
export interface BackendErrorDetails {
  status?: number | undefined;
  path?: string | undefined;
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** A refusal by the server, or no answer from it. */
export class BackendError extends Error {
  override readonly name = "BackendError";
  readonly code: BackendErrorCode;
  /** The HTTP status, where there was an answer. */
  declare readonly status: number | undefined;
  /** The field that is wrong, such as `data.progress`. */
  declare readonly path: string | undefined;
  /** When trying again makes sense, in milliseconds from now. */
  declare readonly retryAfterMs: number | undefined;

  constructor(code: BackendErrorCode, message: string, details: BackendErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    describe(this, details);
  }
}

/** The error of an answer that is none of success; its body may be anything. */
export function ofAnswer(status: number, body: unknown, retryAfter: string | null): BackendError {
  const { code, message, path } = ((body as { error?: unknown } | undefined)?.error ??
    {}) as Partial<ErrorBody> & { path?: string };
  const seconds = Number(retryAfter ?? Number.NaN);
  return new BackendError(code ?? "internal", message ?? `the server answered ${status}`, {
    status,
    path,
    retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : undefined,
  });
}

/** Whether the same call may succeed later. */
export function isTransient({ status }: BackendError): boolean {
  return status === undefined || status === 408 || status === 429 || (status >= 500 && status !== 501);
}
