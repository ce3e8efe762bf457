/** The charts' data: in order, without doubles, as long as it should be. */
import { describe, expect, test } from "vitest";
import { aMinuteAgo, domainOf, type History, WINDOW_MS, withSamples } from "./history.ts";

const T = 1_800_000_000_000;
const sample = (second: number, active: number) => ({
  metric: "voice_call",
  t: T + second * 1000,
  values: { active },
});
const seconds = (history: History) => (history.voice_call ?? []).map(({ t }) => (t - T) / 1000);

describe("withSamples", () => {
  test("puts a backfill before the live updates that came first", () => {
    const live = withSamples({}, [sample(10, 1), sample(11, 2)]);
    expect(seconds(withSamples(live, [sample(9, 5), sample(8, 6)]))).toEqual([8, 9, 10, 11]);
  });

  test("keeps one of two samples of the same moment, the newer one", () => {
    const twice = withSamples(withSamples({}, [sample(1, 4)]), [sample(1, 7)]);
    expect(twice.voice_call).toEqual([{ t: T + 1000, values: { active: 7 } }]);
  });

  test("forgets what is older than the window", () => {
    const long = withSamples({}, [sample(0, 1), sample(1, 1), sample(WINDOW_MS / 1000 + 1, 2)]);
    expect(seconds(long)).toEqual([1, WINDOW_MS / 1000 + 1]);
  });

  test("leaves the other metrics as they are, the very objects", () => {
    const before = withSamples({}, [{ metric: "call_cost", t: T, values: { usd: 1 } }]);
    expect(withSamples(before, [sample(1, 1)]).call_cost).toBe(before.call_cost);
  });
});

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

describe("aMinuteAgo", () => {
  test("is the last value that is a minute old", () => {
    const history = withSamples({}, [sample(0, 1), sample(5, 2), sample(30, 3), sample(66, 4)]);
    expect(aMinuteAgo(history.voice_call ?? [], "active")).toBe(2);
  });

  test("is the oldest where nothing is that old, and nothing where there is one point only", () => {
    const history = withSamples({}, [sample(0, 1), sample(5, 2)]);
    expect(aMinuteAgo(history.voice_call ?? [], "active")).toBe(1);
    expect(aMinuteAgo((history.voice_call ?? []).slice(1), "active")).toBeUndefined();
  });
});
