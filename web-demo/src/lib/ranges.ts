/** How far back the chart reaches, and in which spans. */

export interface Range {
  id: "live" | "hour" | "day" | "week";
  /** On the selector. */
  label: string;
  /** As the end of a sentence: "Calls over …". */
  words: string;
  /** Milliseconds that the chart shows. */
  ms: number;
  /** Without one the chart shows the points themselves. */
  spans?: { interval: "1m" | "1h"; ms: number; each: string };
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** How far back points are kept by the page. */
export const WINDOW_MS = 2 * MINUTE;

export const LIVE: Range = { id: "live", label: "2 min", words: "the last two minutes", ms: WINDOW_MS };

export const RANGES: readonly Range[] = [
  LIVE,
  {
    id: "hour",
    label: "1 h",
    words: "the last hour",
    ms: HOUR,
    spans: { interval: "1m", ms: MINUTE, each: "minute" },
  },
  {
    id: "day",
    label: "24 h",
    words: "the last 24 hours",
    ms: 24 * HOUR,
    spans: { interval: "1h", ms: HOUR, each: "hour" },
  },
  {
    id: "week",
    label: "7 d",
    words: "the last seven days",
    ms: 7 * 24 * HOUR,
    spans: { interval: "1h", ms: HOUR, each: "hour" },
  },
];
