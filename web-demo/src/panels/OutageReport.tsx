/** The last outage in numbers: how long, how many attempts, and room by room what was missed and has come after it. */
import { CircleCheck, CircleDashed, LoaderCircle, TriangleAlert } from "lucide-react";
import { useNow } from "../hooks/useNow.ts";
import { formatCount, formatDuration } from "../lib/format.ts";
import type { Outage, Recovery } from "../lib/outages.ts";
import type { Verdict } from "../lib/verdict.ts";
import { Empty } from "../ui/Card.tsx";
import { TEXT } from "../ui/tone.ts";

const ICON: Record<Verdict["id"], typeof CircleCheck> = {
  none: CircleDashed,
  away: LoaderCircle,
  recovering: LoaderCircle,
  whole: CircleCheck,
  lost: TriangleAlert,
  snapshot: TriangleAlert,
};

/** The sentence about an outage, with its sign. */
export function VerdictLine({ verdict: { id, tone, text } }: { verdict: Verdict }) {
  const Icon = ICON[id];
  return (
    <span className={`flex min-h-5 items-center gap-1.5 font-medium text-[0.8125rem] ${TEXT[tone]}`}>
      <Icon
        aria-hidden="true"
        size={15}
        className={`shrink-0 ${Icon === LoaderCircle ? "animate-spin" : ""}`}
      />
      {text}
    </span>
  );
}

export interface OutageReportProps {
  outage: Outage | undefined;
  verdict: Verdict;
}

export function OutageReport({ outage, verdict }: OutageReportProps) {
  return (
    <div data-testid="outage" data-verdict={verdict.id} className="mt-4 border-line border-t pt-3.5">
      <div className="flex items-baseline justify-between gap-3">
        <h3 className="font-medium text-ink-2 text-xs">Last outage</h3>
        {outage && <Length outage={outage} />}
      </div>
      <p role="status" className="mt-2">
        <VerdictLine verdict={verdict} />
      </p>
      {/* The height of the dashboard's five rooms, so that nothing below moves when they are listed. */}
      <div className="mt-2 flex min-h-34 flex-col">
        {outage && outage.rooms.length > 0 ? (
          <Rooms rooms={outage.rooms} />
        ) : (
          <Empty>
            {outage?.backAt === undefined
              ? "What each room missed and got back is listed here."
              : "No room had news meanwhile."}
          </Empty>
        )}
      </div>
    </div>
  );
}

function Length({ outage: { lostAt, backAt, attempts, why } }: { outage: Outage }) {
  const now = useNow(200, backAt === undefined);
  // The coming attempt is none yet.
  const made = backAt === undefined ? attempts - 1 : attempts;
  return (
    <p className="text-ink-3 text-xs tabular-nums" title={why}>
      <span data-testid="away-for">{formatDuration((backAt ?? now) - lostAt)}</span> ·{" "}
      {made === 1 ? "1 attempt" : `${made} attempts`}
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
