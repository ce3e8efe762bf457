/** The large chart: one metric over the last two minutes, moving as updates arrive. */
import { useId, useState } from "react";
import {
  Area,
  CartesianGrid,
  ComposedChart,
  Line,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from "recharts";
import { formatClock } from "../lib/format.ts";
import { type History, WINDOW_MS } from "../lib/history.ts";
import { type MetricView, type Point, type Series, VIEWS } from "../lib/metrics.ts";
import { Card, Empty } from "../ui/Card.tsx";

export function TrendChart({ history }: { history: History }) {
  const [shown, setShown] = useState(0);
  const view = VIEWS[shown] ?? (VIEWS[0] as MetricView);
  const points = history[view.metric] ?? [];
  return (
    <Card title="Last two minutes" aside={<Choice shown={shown} choose={setShown} />}>
      <Legend view={view} newest={points.at(-1)} />
      <div className="flex h-60 flex-col sm:h-72">
        {points.length < 2 ? (
          <Empty>The chart begins with the first updates.</Empty>
        ) : (
          <Plot view={view} points={points} />
        )}
      </div>
    </Card>
  );
}

function Choice({ shown, choose }: { shown: number; choose: (index: number) => void }) {
  const name = useId();
  return (
    <fieldset className="flex rounded-lg bg-raised p-0.5">
      <legend className="sr-only">Metric of the chart</legend>
      {VIEWS.map((view, index) => (
        <label
          key={view.metric}
          className="cursor-pointer rounded-md px-2.5 py-1 font-medium text-ink-2 text-xs transition-colors hover:text-ink has-checked:bg-surface has-checked:text-ink has-checked:shadow-sm has-focus-visible:outline-2 has-focus-visible:outline-brand"
        >
          <input
            type="radio"
            name={name}
            className="sr-only"
            checked={index === shown}
            onChange={() => choose(index)}
          />
          {view.tab}
        </label>
      ))}
    </fieldset>
  );
}

function Legend({ view, newest }: { view: MetricView; newest: Point | undefined }) {
  const series = view.second ? [view.headline, view.second] : [view.headline];
  return (
    <dl className="mb-3 flex h-5 gap-x-5 text-xs">
      {series.map(({ field, label, color, format }) => {
        const value = newest?.values[field];
        return (
          <div key={field} className="flex items-center gap-2">
            <span aria-hidden="true" className="h-0.5 w-3.5 rounded-full" style={{ background: color }} />
            <dt className="text-ink-3">{label}</dt>
            <dd className="font-medium tabular-nums">{value === undefined ? "–" : format(value)}</dd>
          </div>
        );
      })}
    </dl>
  );
}

const TICK = { fill: "var(--ink-3)", fontSize: 11 } as const;

function Plot({ view, points }: { view: MetricView; points: readonly Point[] }) {
  const fill = useId();
  const { headline, second } = view;
  const newest = points.at(-1)?.t ?? 0;
  const from = newest - WINDOW_MS;
  return (
    <ResponsiveContainer width="100%" height="100%" initialDimension={{ width: 800, height: 280 }}>
      <ComposedChart data={points as Point[]} margin={{ top: 6, right: 2, bottom: 0, left: 2 }}>
        <defs>
          <linearGradient id={fill} x1="0" y1="0" x2="0" y2="1">
            <stop offset="0" stopColor={headline.color} stopOpacity={0.24} />
            <stop offset="1" stopColor={headline.color} stopOpacity={0.01} />
          </linearGradient>
        </defs>
        <CartesianGrid vertical={false} stroke="var(--line)" />
        <XAxis
          dataKey="t"
          type="number"
          domain={[from, newest]}
          allowDataOverflow
          ticks={halfMinutes(from, newest)}
          tickFormatter={formatClock}
          tick={TICK}
          tickLine={false}
          axisLine={false}
          tickMargin={8}
          minTickGap={24}
        />
        <YAxis {...scaleOf(headline)} yAxisId="headline" orientation="left" width={52} />
        {second && <YAxis {...scaleOf(second)} yAxisId="second" orientation="right" width={52} />}
        <Tooltip
          content={({ active, payload }) => (
            <Reading view={view} point={active ? (payload?.[0]?.payload as Point | undefined) : undefined} />
          )}
          cursor={{ stroke: "var(--line-strong)" }}
          isAnimationActive={false}
        />
        <Area
          yAxisId="headline"
          name={headline.label}
          dataKey={(point: Point) => point.values[headline.field]}
          type="monotone"
          stroke={headline.color}
          strokeWidth={2}
          fill={`url(#${fill})`}
          isAnimationActive={false}
          dot={false}
        />
        {second && (
          <Line
            yAxisId="second"
            name={second.label}
            dataKey={(point: Point) => point.values[second.field]}
            type="monotone"
            stroke={second.color}
            strokeWidth={1.75}
            isAnimationActive={false}
            dot={false}
          />
        )}
      </ComposedChart>
    </ResponsiveContainer>
  );
}

function scaleOf({ format }: Series) {
  return {
    tick: TICK,
    tickLine: false,
    axisLine: false,
    tickCount: 4,
    domain: ["auto", "auto"] as [string, string],
    tickFormatter: format,
  };
}

/** Ticks stay with their moment as the chart moves on, rather than sliding through the numbers. */
function halfMinutes(from: number, to: number): number[] {
  const ticks: number[] = [];
  for (let t = Math.ceil(from / 30_000) * 30_000; t <= to; t += 30_000) ticks.push(t);
  return ticks;
}

function Reading({ view, point }: { view: MetricView; point: Point | undefined }) {
  if (!point) return null;
  const series = view.second ? [view.headline, view.second] : [view.headline];
  return (
    <div className="rounded-lg border border-line bg-surface px-3 py-2 text-xs shadow-lg">
      <p className="mb-1 text-ink-3 tabular-nums">{formatClock(point.t)}</p>
      {series.map(({ field, label, color, format }) => (
        <p key={field} className="flex items-center gap-2">
          <span aria-hidden="true" className="size-2 rounded-full" style={{ background: color }} />
          <span className="text-ink-2">{label}</span>
          <span className="ml-auto pl-3 font-medium tabular-nums">{format(point.values[field] ?? 0)}</span>
        </p>
      ))}
    </div>
  );
}
