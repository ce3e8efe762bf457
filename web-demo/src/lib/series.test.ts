/** The seam between what is stored and what is live: each point once, whatever the order of answers and events. */
import type { Metrics, MetricsGet } from "@osbackend/realtime";
import { describe, expect, test, vi } from "vitest";
import type { Point } from "./metrics.ts";
import { LIVE, RANGES, type Range } from "./ranges.ts";
import { MetricSeries } from "./series.ts";
import { beginOf, type Span, withPoint } from "./spans.ts";

const T = 1_800_000_000_000;
const HOUR = RANGES.find((range) => range.id === "hour") as Range;
const DAY = RANGES.find((range) => range.id === "day") as Range;

/** The server's store: points are in it before they are delivered, as PROTOCOL.md §3 promises. */
class Store {
  readonly points: Point[] = [];
  now = T;

  readonly answer = ({ limit = 1000, startDate, endDate, interval }: MetricsGet): Metrics => {
    const from = startDate ? Date.parse(startDate) : this.now - 86_400_000;
    const to = endDate ? Date.parse(endDate) : this.now;
    const found = this.points.filter((point) => point.t >= from && point.t <= to);
    const points = interval
      ? sumsOf(found, interval === "1m" ? 60_000 : 3_600_000).map(({ t, values }) => ({ t, values }))
      : found;
    return {
      type: "calls",
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      points: points
        .slice(-limit)
        .map(({ t, values }) => ({ metric: "calls", timestamp: new Date(t).toISOString(), values })),
      ...(points.length > limit ? { truncated: true, cursor: "older" } : {}),
    };
  };

  add(t: number, active: number): Point {
    this.now = Math.max(this.now, t);
    const point = { t, values: { active } };
    this.points.push(point);
    return point;
  }
}

function sumsOf(points: readonly Point[], lengthMs: number): readonly Span[] {
  return points.reduce<readonly Span[]>((spans, point) => withPoint(spans, point, lengthMs), []);
}

/** What the picture has to show once everything has arrived. */
function expected({ points, now }: Store, range: Range): readonly Span[] {
  const { ms } = range.spans as NonNullable<Range["spans"]>;
  const newest = points.at(-1)?.t ?? now;
  return sumsOf(points, ms).filter((span) => span.t >= beginOf(newest - range.ms, ms));
}

/** A server whose answers wait until they are let go; each is as of the moment it was read. */
function slow(store: Store) {
  const waiting: { query: MetricsGet; resolve: (answer: Metrics) => void; reject: (e: Error) => void }[] = [];
  const ask = (query: MetricsGet) =>
    new Promise<Metrics>((resolve, reject) => waiting.push({ query, resolve, reject }));
  const read = () => {
    const next = waiting.shift();
    if (!next) return undefined;
    const answer = store.answer(next.query);
    return () => next.resolve(answer);
  };
  const flush = async () => {
    for (let go = read(); go; go = read()) {
      go();
      await settled();
    }
  };
  return { ask, read, flush, waiting };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("MetricSeries", () => {
  test("joins history and live points at a seam within a span", async () => {
    const store = new Store();
    for (let second = 0; second < 90; second++) store.add(T + second * 1000, second);
    const server = slow(store);
    const series = new MetricSeries("calls", server.ask, () => {});
    const shown = series.show(HOUR);
    // Stored and read by the question, and delivered after its answer.
    const between = store.add(T + 90_000, 7);
    server.read()?.();
    await settled();
    series.take(between);
    await server.flush();
    await shown;
    series.take(store.add(T + 91_000, 8));
    expect(series.picture.spans).toEqual(expected(store, HOUR));
    expect(series.picture.spans.at(-1)?.values.active).toMatchObject({ last: 8, count: 32 });
  });

  test("begins a span of its own when a point is beyond the last one's end", async () => {
    const store = new Store();
    store.add(T + 59_000, 3);
    const series = new MetricSeries(
      "calls",
      async (query) => store.answer(query),
      () => {},
    );
    await series.show(HOUR);
    series.take(store.add(T + 59_999, 5));
    series.take(store.add(T + 60_000, 1));
    expect(series.picture.spans.map((span) => [span.t - T, span.values.active?.count])).toEqual([
      [0, 2],
      [60_000, 1],
    ]);
  });

  test("forgets spans that the range has left", async () => {
    const store = new Store();
    store.add(T, 1);
    const series = new MetricSeries(
      "calls",
      async (query) => store.answer(query),
      () => {},
    );
    await series.show(HOUR);
    series.take(store.add(T + 2 * 3_600_000, 2));
    expect(series.picture.spans).toEqual(expected(store, HOUR));
    expect(series.picture.spans).toHaveLength(1);
  });

  test("asks again for an event that the sums may or may not have", async () => {
    const store = new Store();
    store.now = T + 60_000;
    const server = slow(store);
    const series = new MetricSeries("calls", server.ask, () => {});
    const shown = series.show(HOUR);
    await server.flush();
    await shown;
    expect(series.picture.spans).toEqual([]);
    // A writer that was stuck: stamped long ago, stored and delivered only now.
    series.take(store.add(T + 10_000, 4));
    await server.flush();
    expect(series.picture.spans).toEqual(expected(store, HOUR));
  });

  test("counts two equal points of one millisecond as two", async () => {
    const store = new Store();
    const first = store.add(T + 20_000, 4);
    const server = slow(store);
    const series = new MetricSeries("calls", server.ask, () => {});
    const shown = series.show(HOUR);
    server.read()?.();
    await settled();
    series.take(first);
    series.take(store.add(T + 20_000, 4));
    await server.flush();
    await shown;
    expect(series.picture.spans[0]?.values.active?.count).toBe(2);
    expect(series.picture.points).toHaveLength(2);
  });

  test("keeps the live points and says why when the stored ones can't be had, and asks again", async () => {
    const store = new Store();
    const server = slow(store);
    const series = new MetricSeries("calls", server.ask, () => {});
    const shown = series.show(HOUR);
    server.waiting.shift()?.reject(new Error("the metrics store is unavailable"));
    await shown;
    series.take(store.add(T, 4));
    expect(series.whole).toBe(false);
    expect(series.picture).toMatchObject({ error: "the metrics store is unavailable", range: LIVE });
    expect(series.picture.points).toHaveLength(1);
    const again = series.refresh();
    await server.flush();
    await again;
    expect(series.picture).toMatchObject({ error: undefined, spans: expected(store, HOUR) });
  });

  test("shows the range that was chosen last, however late an answer to an earlier one comes", async () => {
    const store = new Store();
    for (let minute = 0; minute < 90; minute++) store.add(T + minute * 60_000, minute);
    const server = slow(store);
    const series = new MetricSeries("calls", server.ask, () => {});
    const hour = series.show(HOUR);
    const late = server.read();
    const day = series.show(DAY);
    await server.flush();
    await day;
    late?.();
    await server.flush();
    await hour;
    expect(series.picture.range).toBe(DAY);
    expect(series.picture.spans).toEqual(expected(store, DAY));
    await series.show(LIVE);
    expect(series.picture).toMatchObject({ range: LIVE, spans: [] });
  });

  test("changes nothing but what changed", async () => {
    const store = new Store();
    const changed = vi.fn();
    const series = new MetricSeries("calls", async (query) => store.answer(query), changed);
    await series.refresh();
    const before = series.picture;
    expect(series.picture).toBe(before);
    expect(changed).toHaveBeenCalledTimes(1);
  });

  test.each(Array.from({ length: 300 }, (_, seed) => seed))("in any order, seed %i", async (seed) => {
    const random = randomFrom(seed);
    const store = new Store();
    const server = slow(store);
    const range = random() < 0.5 ? HOUR : DAY;
    const series = new MetricSeries("calls", server.ask, () => {});
    const undelivered: Point[] = [];
    const answers: (() => void)[] = [];
    let at = T;
    void series.show(range);
    for (let step = 0; step < 120; step++) {
      const dice = random();
      if (dice < 0.45) {
        at += Math.floor(random() * random() * 9000);
        undelivered.push(store.add(at, Math.floor(random() * 5)));
      } else if (dice < 0.75) {
        const next = undelivered.shift();
        if (next) series.take(next);
      } else if (dice < 0.86) {
        const answer = server.read();
        if (answer) answers.push(answer);
      } else if (dice < 0.97) {
        answers.shift()?.();
        await settled();
      } else {
        void series.refresh();
      }
    }
    for (const point of undelivered) series.take(point);
    for (const answer of answers) {
      answer();
      await settled();
    }
    await server.flush();
    expect(series.whole).toBe(true);
    expect(counts(series.picture.spans)).toEqual(counts(expected(store, range)));
    expect(series.picture.points).toEqual(store.points.filter(({ t }) => t >= at - LIVE.ms));
  });
});

const counts = (spans: readonly Span[]) => spans.map(({ t, values }) => [t - T, values.active]);

/** Park and Miller's generator: a seed is a run. */
function randomFrom(seed: number): () => number {
  let state = (seed + 1) * 48_271;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
