/** The drawing of the large chart: an area, perhaps a second line, and what they read under the pointer. */
import { memo, useId } from "react";
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
import { domainOf, WINDOW_MS } from "../lib/history.ts";
import type { MetricView, Point, Series } from "../lib/metrics.ts";

const TICK = { fill: "var(--ink-3)", fontSize: 11 } as const;

const TrendPlot = memo(function TrendPlot({ view, points }: { view: MetricView; points: readonly Point[] }) {
  const fill = useId();
  const { headline, second } = view;
  const [from, newest] = domainOf(points, WINDOW_MS);
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
          ticks={ticksOf(from, newest)}
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
            strokeWidth={1.5}
            strokeOpacity={0.85}
            isAnimationActive={false}
            dot={false}
          />
        )}
      </ComposedChart>
    </ResponsiveContainer>
  );
});

export default TrendPlot;

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
function ticksOf(from: number, to: number): number[] {
  const step = to - from > 60_000 ? 30_000 : 10_000;
  const ticks: number[] = [];
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) ticks.push(t);
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
