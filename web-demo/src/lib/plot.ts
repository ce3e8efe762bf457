/** From a metric's picture to what is drawn and what the table lists. Pure. */
import { formatClock, formatDay, formatTime } from "./format.ts";
import { domainOf } from "./history.ts";
import type { MetricView } from "./metrics.ts";
import { type Range, WINDOW_MS } from "./ranges.ts";
import type { SeriesPicture } from "./series.ts";
import { type Span, type Sum, withHoles } from "./spans.ts";

export interface Row {
  /** Its own within a plot: two updates may have come within one millisecond. */
  key: string;
  /** Milliseconds since 1970. */
  t: number;
  headline?: number | undefined;
  second?: number | undefined;
  /** Least and most within a span. */
  band?: [number, number] | undefined;
  /** The headline's sums, where the row is a span. */
  sum?: Sum | undefined;
}

export interface Plot {
  rows: readonly Row[];
  domain: [number, number];
  ticks: readonly number[];
  /** A moment on the axis. */
  formatTick: (t: number) => string;
  /** A moment or a span, in full. */
  formatRow: (t: number) => string;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

export function plotOf({ points, spans, range }: SeriesPicture, view: MetricView): Plot {
  const { headline, second } = view;
  if (!range.spans) {
    const domain = domainOf(points, WINDOW_MS);
    const rows = points.map(({ t, values }, index) => ({
      key: points[index - 1]?.t === t ? `${t}+${index}` : `${t}`,
      t,
      headline: values[headline.field],
      second: second && values[second.field],
    }));
    const step = domain[1] - domain[0] > MINUTE ? MINUTE / 2 : MINUTE / 6;
    const ticks = ticksOf(domain, step);
    return { rows, domain, ticks, formatTick: formatClock, formatRow: formatClock };
  }
  const newest = spans.at(-1)?.t ?? 0;
  const domain: [number, number] = [newest - range.ms, newest];
  return { rows: rowsOf(spans, range, view), domain, ...axisOf(domain, range) };
}

function rowsOf(spans: readonly Span[], range: Range, { headline, second }: MetricView): readonly Row[] {
  return withHoles(spans, range.spans?.ms ?? 0).map(({ t, values }) => {
    const sum = values[headline.field];
    return {
      key: `${t}`,
      t,
      headline: sum?.[headline.ofSpan],
      second: second && values[second.field]?.[second.ofSpan],
      band: sum && [sum.min, sum.max],
      sum,
    };
  });
}

function axisOf(domain: [number, number], { id }: Range): Omit<Plot, "rows" | "domain"> {
  switch (id) {
    case "week":
      return {
        ticks: ticksOf(domain, 24 * HOUR),
        formatTick: formatDay,
        formatRow: (t) => `${formatDay(t)}, ${formatTime(t)}`,
      };
    case "day":
      return { ticks: ticksOf(domain, 4 * HOUR), formatTick: formatTime, formatRow: formatTime };
    default:
      return { ticks: ticksOf(domain, 10 * MINUTE), formatTick: formatTime, formatRow: formatTime };
  }
}

/** Ticks stay with their moment as the chart moves on, rather than sliding through the numbers; days begin at midnight here. */
function ticksOf([from, to]: readonly [number, number], step: number): number[] {
  const zone = new Date(to).getTimezoneOffset() * MINUTE;
  const ticks: number[] = [];
  for (let t = Math.ceil((from - zone) / step) * step + zone; t <= to; t += step) ticks.push(t);
  return ticks;
}

/** What share of the points of `spans` the demo filled in when it started, 0 to 1. */
export function filledIn(spans: readonly Span[], { headline }: MetricView): number {
  let filled = 0;
  let all = 0;
  for (const { values } of spans) {
    filled += values.backfilled?.count ?? 0;
    all += values[headline.field]?.count ?? 0;
  }
  return all === 0 ? 0 : filled / all;
}
