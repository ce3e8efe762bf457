/** Judges events before listeners see them (`validate: "strict"`). The client imports it on demand, and nothing else does. */
import type { ProtocolError } from "../events.js";
import type { EventFrame } from "../generated/protocol.js";
import type { Validators } from "../validators.js";
import { checkDomainEvent } from "./check.js";
import { checkOwn } from "./own.js";

/** How many different problems are told of on the console. */
const MOST_REPORTS = 100;

const reported = new Set<string>();

/** What is wrong with an event: by the contract, then by the application's own validator. */
export function judge(frame: EventFrame, validators: Validators | undefined): ProtocolError | undefined {
  const { type, data, ...place } = frame;
  const own = validators !== undefined && Object.hasOwn(validators, type) ? validators[type] : undefined;
  const problem = checkDomainEvent(type, data) ?? (own && checkOwn(own, data));
  if (problem === undefined) return undefined;
  const at = frame.offset === undefined ? frame.room : `${frame.room} at ${frame.offset}`;
  const message = `${type} in ${at}: ${problem.path}: expected ${problem.expected}, received ${problem.received}`;
  return { event: type, ...place, ...problem, message, data };
}

/** For a problem that nobody listens for: told once for each field of a type. */
export function report({ event, path, message }: ProtocolError): void {
  const key = `${event} ${path}`;
  if (reported.has(key) || reported.size >= MOST_REPORTS) return;
  reported.add(key);
  // biome-ignore lint/suspicious/noConsole: silence would hide why an event never arrives
  console.warn(`[osbackend] protocol_error: ${message}. Listeners were not called; told once for this field`);
}
