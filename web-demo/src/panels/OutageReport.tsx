/** The last outage in numbers: how long, how many attempts, and room by room what was missed and has come after it. */
import { CircleCheck, CircleDashed, LoaderCircle, TriangleAlert } from "lucide-react";
import { useNow } from "../hooks/useNow.ts";
import { formatCount, formatDuration } from "../lib/format.ts";
import { isOver, lostIn, type Outage, type Recovery, recoveredIn } from "../lib/outages.ts";
import { TEXT, type Tone } from "../ui/tone.ts";

/** Room for as many rooms is kept. */
const ROOMS = 5;

interface Verdict {
  id: "none" | "away" | "recovering" | "whole" | "lost" | "snapshot";
  tone: Tone;
  Icon: typeof CircleCheck;
  text: string;
}

function verdictOf(outage: Outage | undefined): Verdict {
  if (!outage) return { id: "none", tone: "idle", Icon: CircleDashed, text: "No outage so far: make one." };
  if (outage.backAt === undefined)
    return {
      id: "away",
      tone: "warn",
      Icon: LoaderCircle,
      text: "Away. The server keeps what comes meanwhile.",
    };
  const lost = lostIn(outage);
  if (lost > 0)
    return { id: "lost", tone: "bad", Icon: TriangleAlert, text: `${formatCount(lost)} events were lost` };
  if (!isOver(outage))
    return { id: "recovering", tone: "warn", Icon: LoaderCircle, text: "Back. Missed events are coming in." };
  if (outage.rooms.some((room) => room.startedOver))
    return {
      id: "snapshot",
      tone: "warn",
      Icon: TriangleAlert,
      text: "The server lost its history: rooms went on from snapshots.",
    };
  const recovered = recoveredIn(outage);
  const events = recovered === 1 ? "1 event" : `${formatCount(recovered)} events`;
  return { id: "whole", tone: "good", Icon: CircleCheck, text: `${events} recovered, nothing lost` };
}

export function OutageReport({ outage }: { outage: Outage | undefined }) {
  const { id, tone, Icon, text } = verdictOf(outage);
  return (
    <div data-testid="outage" data-verdict={id} className="max-md:border-line max-md:border-t max-md:pt-3.5">
      <div className="flex items-baseline justify-between gap-3">
        <h3 className="font-medium text-ink-2 text-xs">Last outage</h3>
        {outage && <Length outage={outage} />}
      </div>
      <p
        role="status"
        className={`mt-2 flex min-h-5 items-center gap-1.5 font-medium text-[0.8125rem] ${TEXT[tone]}`}
      >
        <Icon
          aria-hidden="true"
          size={15}
          className={`shrink-0 ${Icon === LoaderCircle ? "animate-spin" : ""}`}
        />
        {text}
      </p>
      <div className="mt-2" style={{ minHeight: `${1.5 + ROOMS * 1.375}rem` }}>
        {outage && outage.rooms.length > 0 && <Rooms rooms={outage.rooms} />}
      </div>
    </div>
  );
}

function Length({ outage: { lostAt, backAt, attempts, why } }: { outage: Outage }) {
  const now = useNow(200, backAt === undefined);
  return (
    <p className="text-ink-3 text-xs tabular-nums" title={why}>
      <span data-testid="away-for">{formatDuration((backAt ?? now) - lostAt)}</span> ·{" "}
      {attempts === 1 ? "1 attempt" : `${attempts} attempts`}
    </p>
  );
}

function Rooms({ rooms }: { rooms: readonly Recovery[] }) {
  return (
    <table className="w-full table-fixed text-2xs tabular-nums">
      <caption className="sr-only">What each room missed and got back</caption>
      <thead className="text-ink-3">
        <tr className="h-6">
          <th scope="col" className="text-left font-normal">
            Room
          </th>
          <th scope="col" className="w-29 text-right font-normal">
            Offsets
          </th>
          <th scope="col" className="w-17 text-right font-normal">
            Recovered
          </th>
        </tr>
      </thead>
      <tbody>
        {rooms.map((room) => (
          <tr
            key={room.room}
            className="h-5.5"
            data-recovery={room.room}
            data-from={room.from}
            data-to={room.to}
            data-received={room.received}
          >
            <th scope="row" className="truncate pr-2 text-left font-mono font-normal" title={room.room}>
              {room.room}
            </th>
            <td className="text-right font-mono text-ink-2">
              {room.startedOver ? "snapshot" : `${formatCount(room.from)} → ${formatCount(room.to)}`}
            </td>
            <td className="text-right">
              {room.startedOver ? "–" : `${formatCount(room.received)} of ${formatCount(room.replayed)}`}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
