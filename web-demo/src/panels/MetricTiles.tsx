/** The four numbers that matter, each with how it moved in the last minute. */
import { useWebSocketMetrics } from "@osbackend/realtime/react";
import { ArrowDown, ArrowUp } from "lucide-react";
import type { Charts } from "../lib/charts.ts";
import { aMinuteAgo } from "../lib/history.ts";
import { METRICS, type MetricView, numbersOf, type Point, VIEWS } from "../lib/metrics.ts";
import { Sparkline } from "../ui/Sparkline.tsx";
import { TEXT, type Tone } from "../ui/tone.ts";

const NAMES = [...METRICS];

export function MetricTiles({ charts }: { charts: Charts }) {
  const metrics = useWebSocketMetrics(NAMES);
  return (
    <ul
      aria-label="Key figures"
      className="grid grid-cols-1 gap-3 min-[22rem]:grid-cols-2 sm:gap-4 xl:grid-cols-4"
    >
      {VIEWS.map((view) => (
        <Tile
          key={view.metric}
          view={view}
          values={numbersOf(metrics[view.metric]?.values ?? {})}
          points={charts[view.metric].points}
        />
      ))}
    </ul>
  );
}

interface TileProps {
  view: MetricView;
  values: Record<string, number>;
  points: readonly Point[];
}

function Tile({ view, values, points }: TileProps) {
  const { field, label, color, format } = view.headline;
  const value = values[field];
  const text = value === undefined ? "" : format(value);
  return (
    <li
      data-testid={`tile-${view.metric}`}
      className="flex min-w-0 flex-col overflow-hidden rounded-2xl border border-line bg-surface shadow-[0_1px_2px_var(--shadow),0_8px_24px_-12px_var(--shadow)]"
    >
      <div className="px-4 pt-3.5 sm:px-5 sm:pt-4">
        <div className="flex items-center justify-between gap-2">
          <p className="truncate text-ink-2 text-sm">{label}</p>
          <Trend view={view} value={value} before={aMinuteAgo(points, field)} />
        </div>
        <p
          data-testid="value"
          className={`mt-1 min-h-9 font-semibold leading-9 tracking-[-0.025em] tabular-nums ${text.length > 8 ? "text-[1.3125rem]" : "text-[1.625rem]"} sm:text-[1.875rem]`}
        >
          {value === undefined ? <Waiting /> : text}
        </p>
        <p className="mt-0.5 h-4 truncate text-ink-3 text-xs tabular-nums">
          {value === undefined ? "" : view.note(values)}
        </p>
      </div>
      <div className="mt-2">
        <Sparkline points={points} field={field} color={color} />
      </div>
    </li>
  );
}

function Waiting() {
  return (
    <>
      <span aria-hidden="true" className="inline-block h-6 w-24 rounded-md bg-raised align-middle" />
      <span className="sr-only">waiting for the first value</span>
    </>
  );
}

interface TrendProps {
  view: MetricView;
  value: number | undefined;
  before: number | undefined;
}

/** The change against a minute ago, in the value's own unit. */
function Trend({ view, value, before }: TrendProps) {
  if (value === undefined || before === undefined) return null;
  const { format } = view.headline;
  const change = value - before;
  const size = format(Math.abs(change));
  if (size === format(0)) return <span className="shrink-0 text-2xs text-ink-3">steady</span>;
  const rises = change > 0;
  const tone: Tone = view.riseIsGood === undefined ? "idle" : rises === view.riseIsGood ? "good" : "warn";
  const Icon = rises ? ArrowUp : ArrowDown;
  return (
    <span
      title="Against a minute ago"
      className={`inline-flex shrink-0 items-center gap-0.5 font-medium text-2xs tabular-nums ${TEXT[tone]}`}
    >
      <Icon aria-hidden="true" size={12} strokeWidth={2.25} />
      <span className="sr-only">{rises ? "up" : "down"} </span>
      {size}
    </span>
  );
}
