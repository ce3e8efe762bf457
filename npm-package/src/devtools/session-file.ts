/** A recorded session as NDJSON: a head, then an entry a line. Secrets were taken out when the entries were made. */
import type { Direction, Entry } from "./entries.js";

const FORMAT = "osbackend-session";
const VERSION = 1;

/** A text that is no recorded session; the message names the line. */
export class SessionFileError extends Error {
  override readonly name = "SessionFileError";
}

/** The text of a session. */
export function toNdjson(entries: readonly Entry[]): string {
  const head = { format: FORMAT, version: VERSION, entries: entries.length };
  const lines = entries.map(({ at, direction, type, room, offset, size, frame }) => ({
    at,
    direction,
    type,
    ...(room === undefined ? {} : { room }),
    ...(offset === undefined ? {} : { offset }),
    size,
    frame,
  }));
  return `${[head, ...lines].map((line) => JSON.stringify(line)).join("\n")}\n`;
}

/**
 * The entries of a session's text.
 *
 * @throws {SessionFileError} which line is wrong.
 */
export function fromNdjson(text: string): Entry[] {
  const lines = text.split("\n").map((line, index) => ({ line: line.trim(), number: index + 1 }));
  const [head, ...rest] = lines.filter(({ line }) => line !== "");
  const { format, version } = (head === undefined ? {} : parse(head)) as {
    format?: unknown;
    version?: unknown;
  };
  if (format !== FORMAT)
    throw new SessionFileError("this is no recorded session: its first line says otherwise");
  if (version !== VERSION)
    throw new SessionFileError(`version ${String(version)} is not known here, only ${VERSION}`);
  return rest.map((line, index) => {
    const entry = parse(line) as Partial<Entry>;
    const { at, direction, type } = entry;
    if (typeof at !== "number" || typeof type !== "string" || !isDirection(direction)) {
      throw new SessionFileError(`line ${line.number}: at, direction and type are needed`);
    }
    const { room, offset, size = 0, frame } = entry;
    return { n: index + 1, at, direction, type, room, offset, size, frame };
  });
}

function parse({ line, number }: { line: string; number: number }): object {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Told below.
  }
  throw new SessionFileError(`line ${number}: no JSON object`);
}

function isDirection(value: unknown): value is Direction {
  return value === "in" || value === "out" || value === "client";
}
