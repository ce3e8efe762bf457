/** A request that the fake server refuses. */
import type { ErrorCode } from "../generated/protocol.js";

/** Answered with `error`. */
export class Refusal extends Error {
  readonly code: ErrorCode;
  readonly room: string | undefined;

  constructor(code: ErrorCode, message: string, room?: string) {
    super(message);
    this.code = code;
    this.room = room;
  }
}
