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
import { formatCount } from "../lib/format.ts";
import type { MetricView, Series } from "../lib/metrics.ts";
import type { Plot, Row } from "../lib/plot.ts";

const TICK = { fill: "var(--ink-3)", fontSize: 11 } as const;

const TrendPlot = memo(function TrendPlot({ view, plot }: { view: MetricView; plot: Plot }) {
  const fill = useId();
  const { headline, second } = view;
  const hasBand = plot.rows.some((row) => row.band !== undefined);
  return (
    <ResponsiveContainer width="100%" height="100%" initialDimension={{ width: 800, height: 280 }}>
      <ComposedChart data={plot.rows as Row[]} margin={{ top: 6, right: 2, bottom: 0, left: 2 }}>
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
          domain={plot.domain}
          allowDataOverflow
          ticks={plot.ticks}
          tickFormatter={plot.formatTick}
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
            <Reading
              view={view}
              plot={plot}
              row={active ? (payload?.[0]?.payload as Row | undefined) : undefined}
            />
          )}
          cursor={{ stroke: "var(--line-strong)" }}
          isAnimationActive={false}
        />
        {hasBand && (
          <Area
            yAxisId="headline"
            dataKey="band"
            type="monotone"
            stroke="none"
            fill={headline.color}
            fillOpacity={0.16}
            isAnimationActive={false}
            activeDot={false}
            dot={false}
          />
        )}
        <Area
          yAxisId="headline"
          name={headline.label}
          dataKey="headline"
          type="monotone"
          stroke={headline.color}
          strokeWidth={2}
          fill={hasBand ? "none" : `url(#${fill})`}
          isAnimationActive={false}
          dot={false}
        />
        {second && (
          <Line
            yAxisId="second"
            name={second.label}
            dataKey="second"
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

function Reading({ view, plot, row }: { view: MetricView; plot: Plot; row: Row | undefined }) {
  if (row?.headline === undefined) return null;
  const { headline, second } = view;
  return (
    <div className="rounded-lg border border-line bg-surface px-3 py-2 text-xs shadow-lg">
      <p className="mb-1 text-ink-3 tabular-nums">{plot.formatRow(row.t)}</p>
      <Value series={headline} value={row.headline} />
      {second && <Value series={second} value={row.second} />}
      {row.sum && (
        <p className="mt-1 text-ink-3 tabular-nums">
          {headline.format(row.sum.min)} to {headline.format(row.sum.max)} · {formatCount(row.sum.count)}{" "}
          {row.sum.count === 1 ? "point" : "points"}
        </p>
      )}
    </div>
  );
}

function Value({ series: { label, color, format }, value }: { series: Series; value: number | undefined }) {
  return (
    <p className="flex items-center gap-2">
      <span aria-hidden="true" className="size-2 rounded-full" style={{ background: color }} />
      <span className="text-ink-2">{label}</span>
      <span className="ml-auto pl-3 font-medium tabular-nums">
        {value === undefined ? "–" : format(value)}
      </span>
    </p>
  );
}
