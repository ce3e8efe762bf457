/** What a session consists of: states, sockets and frames in the order in which they came. */

/** Whence an entry is: from the server, to it, or of the client itself. */
export type Direction = "in" | "out" | "client";

/** One line of the timeline. */
export interface Entry {
  /** Counts from 1. */
  readonly n: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly direction: Direction;
  /** A message's type, or `state`, `socket`. */
  readonly type: string;
  readonly room?: string | undefined;
  readonly offset?: number | undefined;
  /** Characters on the wire; 0 for the client's own. */
  readonly size: number;
  /** What came, without its secrets. */
  readonly frame: unknown;
}

/** What is shown of them. */
export interface Filter {
  /** Words that must all occur in type, room or content; `-word` must not. */
  readonly search?: string;
  readonly directions?: ReadonlySet<Direction>;
  /** Leaves out heartbeats. */
  readonly hideHeartbeats?: boolean;
}

const texts = new WeakMap<Entry, string>();

function textOf(entry: Entry): string {
  let text = texts.get(entry);
  if (text === undefined) {
    text = `${entry.type} ${entry.room ?? ""} ${JSON.stringify(entry.frame)}`.toLowerCase();
    texts.set(entry, text);
  }
  return text;
}

/** Whether an entry is among those that are asked for. */
export function fits(entry: Entry, { search = "", directions, hideHeartbeats = false }: Filter): boolean {
  if (directions !== undefined && !directions.has(entry.direction)) return false;
  if (hideHeartbeats && entry.type === "heartbeat") return false;
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => {
      if (word === "" || word === "-") return true;
      return word.startsWith("-") ? !textOf(entry).includes(word.slice(1)) : textOf(entry).includes(word);
    });
}
