/** A small area without axes: how a value moved. Decorative: the number beside it says the same. */
import { memo, useId } from "react";
import { windowOf } from "../lib/history.ts";
import type { Point } from "../lib/metrics.ts";
import { WINDOW_MS } from "../lib/ranges.ts";

export interface SparklineProps {
  points: readonly Point[];
  field: string;
  color: string;
}

const SHOWN_MS = WINDOW_MS / 2;
/** The drawing's own units; it is stretched to the tile. */
const WIDTH = 240;
const HEIGHT = 48;
const MARGIN = { top: 4, bottom: 8 };

/** Plain SVG: four of these move each second, and a chart with scales and layers would be most of the page's work. */
export const Sparkline = memo(function Sparkline({ points, field, color }: SparklineProps) {
  const fill = useId();
  const line = lineOf(points, field);
  return (
    <svg
      aria-hidden="true"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      className="block h-12 w-full"
    >
      <linearGradient id={fill} x1="0" y1="0" x2="0" y2="1">
        <stop offset="0" stopColor={color} stopOpacity={0.24} />
        <stop offset="1" stopColor={color} stopOpacity={0} />
      </linearGradient>
      {line && (
        <>
          <path d={`${line.path} L${WIDTH} ${HEIGHT} L${line.from} ${HEIGHT} Z`} fill={`url(#${fill})`} />
          <path
            d={line.path}
            fill="none"
            stroke={color}
            strokeWidth={1.75}
            strokeLinejoin="round"
            vectorEffect="non-scaling-stroke"
          />
        </>
      )}
    </svg>
  );
});

/** The line through the values of the last minute; undefined where there are too few. */
function lineOf(points: readonly Point[], field: string): { path: string; from: number } | undefined {
  const { start, shown: within } = windowOf(points, SHOWN_MS);
  const end = points.at(-1)?.t ?? start;
  const shown = within.flatMap(({ t, values }) =>
    values[field] === undefined ? [] : [{ t, value: values[field] }],
  );
  if (shown.length < 2) return undefined;
  const least = Math.min(...shown.map(({ value }) => value));
  const span = Math.max(...shown.map(({ value }) => value)) - least || 1;
  const places = shown.map(({ t, value }) => ({
    x: ((t - start) / (end - start)) * WIDTH,
    y: HEIGHT - MARGIN.bottom - ((value - least) / span) * (HEIGHT - MARGIN.top - MARGIN.bottom),
  }));
  const path = places.map(({ x, y }, index) => `${index === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`);
  return { path: path.join(" "), from: places[0]?.x ?? 0 };
}
