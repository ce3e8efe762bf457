/** Sums by span: the server's, and what live points make of them. */
import { describe, expect, test } from "vitest";
import { newest, spansOf, withHoles, withPoint } from "./spans.ts";

const MINUTE = 60_000;
const sum = (value: number) => ({ min: value, max: value, avg: value, sum: value, last: value, count: 1 });

describe("withPoint", () => {
  const stored = spansOf([
    {
      metric: "calls",
      timestamp: new Date(0).toISOString(),
      values: { active: { min: 2, max: 6, avg: 4, sum: 8, last: 6, count: 2 }, note: "text" },
    },
  ]);

  test("adds to each value's sum, and begins one for a value that is new", () => {
    const [span] = withPoint(stored, { t: 30_000, values: { active: 1, failed: 3 } }, MINUTE);
    expect(span).toEqual({
      t: 0,
      values: { active: { min: 1, max: 6, avg: 3, sum: 9, last: 1, count: 3 }, failed: sum(3) },
    });
  });

  test("leaves the other spans as they are, the very objects", () => {
    const next = withPoint(stored, { t: MINUTE, values: { active: 1 } }, MINUTE);
    expect(next[0]).toBe(stored[0]);
    expect(next[1]).toEqual({ t: MINUTE, values: { active: sum(1) } });
  });

  test("finds the place of a point that comes late", () => {
    const spans = withPoint(stored, { t: 2 * MINUTE, values: { active: 1 } }, MINUTE);
    expect(withPoint(spans, { t: MINUTE, values: { active: 2 } }, MINUTE).map(({ t }) => t)).toEqual([
      0,
      MINUTE,
      2 * MINUTE,
    ]);
  });
});

test("newest keeps the span in which the range begins", () => {
  const spans = [0, 1, 2, 3].map((minute) => ({ t: minute * MINUTE, values: {} }));
  expect(newest(spans, 2 * MINUTE, MINUTE)).toEqual(spans.slice(1));
  expect(newest(spans, 9 * MINUTE, MINUTE)).toBe(spans);
});

test("withHoles breaks the line where nothing was stored", () => {
  const spans = [0, 1, 4].map((minute) => ({ t: minute * MINUTE, values: { a: sum(1) } }));
  expect(withHoles(spans, MINUTE)).toEqual([spans[0], spans[1], { t: 2 * MINUTE, values: {} }, spans[2]]);
});
