/** Sums of a metric by spans of time, as the server makes them (PROTOCOL.md §3), with live points added. Pure. */
import type { MetricPoint, PointValue } from "@osbackend/realtime";
import type { Point } from "./metrics.ts";

export interface Sum {
  min: number;
  max: number;
  avg: number;
  sum: number;
  last: number;
  count: number;
}

/** `t` is the span's begin, in milliseconds since 1970. */
export interface Span {
  t: number;
  values: Readonly<Record<string, Sum>>;
}

/** The begin of the span of `lengthMs` that `t` is in. */
export const beginOf = (t: number, lengthMs: number): number => t - (t % lengthMs);

/** The spans of an answer to `metrics:get` with an interval. */
export function spansOf(points: readonly MetricPoint[]): readonly Span[] {
  return points.map(({ timestamp, values }) => {
    const sums: Record<string, Sum> = {};
    for (const [name, value] of Object.entries(values)) if (isSum(value)) sums[name] = value;
    return { t: Date.parse(timestamp), values: sums };
  });
}

function isSum(value: PointValue | undefined): value is Sum {
  return typeof value === "object" && value !== null;
}

/**
 * `spans` with a point that is in none of them yet, and is newer than all that are: usually in the last span, or the
 * first of a new one.
 */
export function withPoint(spans: readonly Span[], point: Point, lengthMs: number): readonly Span[] {
  const t = beginOf(point.t, lengthMs);
  const after = spans.findLastIndex((span) => span.t <= t) + 1;
  const known = spans[after - 1];
  if (known?.t === t) return spans.with(after - 1, { t, values: added(known.values, point) });
  return spans.toSpliced(after, 0, { t, values: added({}, point) });
}

function added(sums: Span["values"], { values }: Point): Span["values"] {
  const next: Record<string, Sum> = { ...sums };
  for (const [name, value] of Object.entries(values)) {
    const { min, max, sum, count } = next[name] ?? { min: value, max: value, sum: 0, count: 0 };
    next[name] = {
      min: Math.min(min, value),
      max: Math.max(max, value),
      avg: (sum + value) / (count + 1),
      sum: sum + value,
      last: value,
      count: count + 1,
    };
  }
  return next;
}

/** Those that a chart of `rangeMs` shows: from the span in which the range begins. */
export function newest(spans: readonly Span[], rangeMs: number, lengthMs: number): readonly Span[] {
  const last = spans.at(-1);
  if (!last) return spans;
  const from = beginOf(last.t - rangeMs, lengthMs);
  const first = spans.findIndex((span) => span.t >= from);
  return first === 0 ? spans : spans.slice(first);
}

/** `spans` with an empty one in each hole, so that a line drawn through them breaks where there was nothing. */
export function withHoles(spans: readonly Span[], lengthMs: number): readonly Span[] {
  return spans.flatMap((span, index) => {
    const before = spans[index - 1];
    return before && span.t - before.t > lengthMs ? [{ t: before.t + lengthMs, values: {} }, span] : [span];
  });
}
