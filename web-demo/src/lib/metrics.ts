/** Which metrics the dashboard shows, under which names, and how their values are written. */
import {
  formatCount,
  formatMinutes,
  formatPercent,
  formatRate,
  formatShort,
  formatTenth,
  formatUsd,
} from "./format.ts";

/** The metrics of `dashboard:overview` that the page shows. */
export const METRICS = ["voice_call", "call_cost", "conversion", "system_health"] as const;
export type MetricName = (typeof METRICS)[number];

/** The numeric values of one update. */
export type Values = Record<string, number>;

/** One update of a metric; `t` in milliseconds since 1970. */
export interface Point {
  t: number;
  values: Values;
}

export interface Series {
  field: string;
  label: string;
  color: string;
  format: (value: number) => string;
  /** What stands for a whole span of time: the mean, or of a counter the last. */
  ofSpan: "avg" | "last";
}

export interface MetricView {
  metric: MetricName;
  /** What the chart's tab says. */
  tab: string;
  /** The value that the tile shows in large. */
  headline: Series;
  /** A second line in the chart, on the scale of its own. */
  second?: Series;
  /** The tile's last line. */
  note: (values: Values) => string;
  /** Whether a rise is welcome; `undefined` when it is neither. */
  riseIsGood?: boolean;
}

const or0 = (value: number | undefined): number => value ?? 0;

export const VIEWS: readonly MetricView[] = [
  {
    metric: "voice_call",
    tab: "Calls",
    headline: {
      field: "active",
      label: "Active calls",
      color: "var(--chart-1)",
      format: formatCount,
      ofSpan: "avg",
    },
    second: {
      field: "avgDurationSec",
      label: "Average length",
      color: "var(--chart-2)",
      format: formatMinutes,
      ofSpan: "avg",
    },
    note: (v) => `${formatShort(or0(v.completed))} done · ${formatShort(or0(v.failed))} failed`,
  },
  {
    metric: "call_cost",
    tab: "Spend",
    headline: { field: "usd", label: "Spend", color: "var(--chart-2)", format: formatUsd, ofSpan: "last" },
    second: {
      field: "perMinute",
      label: "Cost per minute",
      color: "var(--chart-4)",
      format: formatRate,
      ofSpan: "avg",
    },
    note: (v) => `${formatRate(or0(v.perMinute))} per minute`,
  },
  {
    metric: "conversion",
    tab: "Conversion",
    headline: {
      field: "rate",
      label: "Conversion",
      color: "var(--chart-4)",
      format: formatPercent,
      ofSpan: "avg",
    },
    note: (v) => `${formatShort(or0(v.leads))} leads`,
    riseIsGood: true,
  },
  {
    metric: "system_health",
    tab: "System",
    headline: {
      field: "latencyMs",
      label: "Latency",
      color: "var(--chart-3)",
      format: (value) => `${formatTenth(value)} ms`,
      ofSpan: "avg",
    },
    second: { field: "cpu", label: "CPU", color: "var(--chart-1)", format: formatPercent, ofSpan: "avg" },
    note: (v) => `${formatCount(or0(v.cpu))}% CPU · ${formatCount(or0(v.memoryMb))} MB`,
    riseIsGood: false,
  },
];

/** Only the numbers of an update: text and null have no place in a chart. */
export function numbersOf(values: Record<string, unknown>): Values {
  const numbers: Values = {};
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === "number") numbers[name] = value;
  }
  return numbers;
}
