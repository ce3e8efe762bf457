/** Readers of stores are told once a frame, however much has arrived since the last one. */
import { reportFailure } from "../report.js";
import type { Unsubscribe } from "../types.js";

/** How long a page that is not shown, and so has no frames, is kept waiting at most; milliseconds. */
const HIDDEN_MS = 100;

let waiting = new Set<() => void>();
let frame: number | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Nobody waits any more. */
function cancel(): void {
  clearTimeout(timer);
  if (frame !== undefined) cancelAnimationFrame(frame);
  frame = undefined;
}

function flush(): void {
  cancel();
  const calls = waiting;
  waiting = new Set();
  for (const call of calls) {
    try {
      call();
    } catch (thrown) {
      reportFailure(thrown);
    }
  }
}

/** A page that is shown gets its frame, late as it may be; one that is hidden, also while it waits, gets none. */
function watchHidden(): void {
  const hidden = () => frame === undefined || typeof document === "undefined" || document.hidden;
  // Without frames at all (no browser) there is nothing to wait for.
  timer = setTimeout(() => (hidden() ? flush() : watchHidden()), frame === undefined ? 0 : HIDDEN_MS);
}

/** Calls `call` with the next frame: once, also where it was asked for several times. */
export function nextFrame(call: () => void): void {
  waiting.add(call);
  if (waiting.size > 1) return;
  if (typeof requestAnimationFrame === "function") frame = requestAnimationFrame(flush);
  watchHidden();
}

/** `subscribe`, with its readers told once a frame. */
export function onceAFrame(
  subscribe: (changed: () => void) => Unsubscribe,
): (changed: () => void) => Unsubscribe {
  return (changed) => {
    const end = subscribe(() => nextFrame(changed));
    return () => {
      end();
      // Else who waits next would ask for a second frame beside this one.
      if (waiting.delete(changed) && waiting.size === 0) cancel();
    };
  };
}
