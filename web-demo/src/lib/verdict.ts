/** An outage in a sentence: what the page can say of it now. Pure. */
import type { Tone } from "../ui/tone.ts";
import { formatCount } from "./format.ts";
import { type Cause, isOver, lostIn, type Outage, recoveredIn } from "./outages.ts";

export interface Verdict {
  id: "none" | "away" | "recovering" | "whole" | "lost" | "snapshot";
  tone: Tone;
  text: string;
}

/** Each fits into a line of the narrow column: what is below it stays where it is. */
const AWAY: Record<Cause, string> = {
  cut: "The line is cut. The server keeps each event.",
  killed: "The server is dead. Its file has every event.",
  restarting: "The server starts again. The next try finds it.",
};

/** `cause` is the fault that the visitor made, where the outage is due to one. */
export function verdictOf(outage: Outage | undefined, cause: Cause | undefined): Verdict {
  if (!outage) return { id: "none", tone: "idle", text: "No outage so far: make one." };
  if (outage.backAt === undefined) {
    const text = cause ? AWAY[cause] : "No connection. This page tries to get it back.";
    return { id: "away", tone: "warn", text };
  }
  const lost = lostIn(outage);
  if (lost > 0) return { id: "lost", tone: "bad", text: `${formatCount(lost)} events were lost` };
  if (!isOver(outage))
    return { id: "recovering", tone: "warn", text: "Back. The missed events are coming in." };
  if (outage.rooms.some((room) => room.startedOver))
    return {
      id: "snapshot",
      tone: "warn",
      text: "History was lost: rooms went on from snapshots.",
    };
  const recovered = recoveredIn(outage);
  const events = recovered === 1 ? "1 event" : `${formatCount(recovered)} events`;
  return { id: "whole", tone: "good", text: `${events} recovered, nothing lost` };
}
