/** How much of the last minutes is shown, and what a value is compared with. */
import { describe, expect, test } from "vitest";
import { aMinuteAgo, domainOf, windowOf } from "./history.ts";

const T = 1_800_000_000_000;
const sample = (second: number, active: number) => ({ t: T + second * 1000, values: { active } });

describe("domainOf", () => {
  const points = (...at: number[]) => at.map((second) => ({ t: T + second * 1000, values: {} }));

  test.each([
    ["the whole span when there is that much", points(0, 60, 130), [T + 10_000, T + 130_000]],
    ["what there is, when there is less", points(0, 50), [T, T + 50_000]],
    ["not less than 20 seconds", points(49, 50), [T + 30_000, T + 50_000]],
  ])("is %s", (_, given, domain) => {
    expect(domainOf(given, 120_000)).toEqual(domain);
  });
});

describe("windowOf", () => {
  const points = (...at: number[]) => at.map((second) => ({ t: T + second * 1000, values: {} }));
  const window = (...at: number[]) => {
    const { start, shown } = windowOf(points(...at), 60_000);
    return { start: (start - T) / 1000, shown: shown.map(({ t }) => (t - T) / 1000) };
  };

  test.each([
    [
      "keeps the point before the span, so that the line reaches the edge",
      [0, 15, 30, 45, 80, 81],
      21,
      [15, 30, 45, 80, 81],
    ],
    ["begins with a point that lies on the edge", [0, 20, 80], 20, [20, 80]],
    ["begins with the oldest point where there is less than the span", [70, 75, 80], 70, [70, 75, 80]],
    ["is empty without points", [], -T / 1000, []],
  ])("%s", (_, at, start, shown) => {
    expect(window(...at)).toEqual({ start, shown });
  });
});

describe("aMinuteAgo", () => {
  test("is the last value that is a minute old", () => {
    expect(aMinuteAgo([sample(0, 1), sample(5, 2), sample(30, 3), sample(66, 4)], "active")).toBe(2);
  });

  test("is the oldest where nothing is that old, and nothing where there is one point only", () => {
    expect(aMinuteAgo([sample(0, 1), sample(5, 2)], "active")).toBe(1);
    expect(aMinuteAgo([sample(5, 2)], "active")).toBeUndefined();
  });
});
