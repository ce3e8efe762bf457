/** What is drawn of points and of spans. */
import { describe, expect, test } from "vitest";
import { type MetricView, VIEWS } from "./metrics.ts";
import { filledIn, plotOf } from "./plot.ts";
import { LIVE, RANGES, type Range } from "./ranges.ts";

const view = VIEWS[1] as MetricView;
const hour = RANGES[1] as Range;
const week = RANGES[3] as Range;
const MINUTE = 60_000;
const T = 30_000_000 * MINUTE;
const sum = { min: 2, max: 6, avg: 4, sum: 8, last: 5, count: 2 };
const picture = { points: [], spans: [], range: LIVE, error: undefined };

describe("plotOf", () => {
  test("draws points as they are", () => {
    const points = [{ t: T, values: { usd: 3, perMinute: 0.1 } }];
    expect(plotOf({ ...picture, points }, view).rows).toEqual([
      { key: `${T}`, t: T, headline: 3, second: 0.1 },
    ]);
  });

  test("draws of a span the last of a counter, the mean of the rest, and the band", () => {
    const spans = [{ t: T, values: { usd: sum, perMinute: { ...sum, avg: 0.1 } } }];
    const { rows, domain } = plotOf({ ...picture, spans, range: hour }, view);
    expect(rows).toEqual([{ key: `${T}`, t: T, headline: 5, second: 0.1, band: [2, 6], sum }]);
    expect(domain).toEqual([T - 60 * MINUTE, T]);
  });

  test("has nothing in a hole", () => {
    const spans = [0, 3].map((minute) => ({ t: T + minute * MINUTE, values: { usd: sum } }));
    const { rows } = plotOf({ ...picture, spans, range: hour }, view);
    expect(rows.map(({ t, headline }) => [t - T, headline])).toEqual([
      [0, 5],
      [MINUTE, undefined],
      [3 * MINUTE, 5],
    ]);
  });

  test("has a tick at each midnight of a week", () => {
    const spans = [{ t: T, values: { usd: sum } }];
    const { ticks } = plotOf({ ...picture, spans, range: week }, view);
    expect(ticks).toHaveLength(7);
    expect(ticks.map((t) => new Date(t).getHours())).toEqual(Array(7).fill(0));
  });
});

test("filledIn tells the share of points that the demo made up for the past", () => {
  const filled = { ...sum, min: 1, max: 1, count: 3 };
  const spans = [
    { t: T, values: { usd: { ...sum, count: 3 }, backfilled: filled } },
    { t: T + MINUTE, values: { usd: { ...sum, count: 9 } } },
  ];
  expect(filledIn(spans, view)).toBe(0.25);
  expect(filledIn([], view)).toBe(0);
});
