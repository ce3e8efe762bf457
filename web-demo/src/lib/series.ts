/**
 * One metric: what the server has stored, joined with what arrives live, so that each point counts once.
 *
 * The seam. Sums don't tell which points are in them, so the server is asked twice: for its newest points, and for the
 * sums of everything up to a moment (`#cut`) that lies a little before those points end. What is later than the cut comes
 * from the points, and from the events that arrived since the first question was sent. A point that comes by both ways is
 * told by its time and values. An event at or before the cut that no answer had can't be told to be in the sums or not:
 * then everything is asked for again.
 */
import type { Metrics, MetricsGet } from "@osbackend/realtime";
import { numbersOf, type Point } from "./metrics.ts";
import { LIVE, type Range, WINDOW_MS } from "./ranges.ts";
import { beginOf, newest, type Span, spansOf, withPoint } from "./spans.ts";

/** Asks the server. */
export type Ask = (query: MetricsGet) => Promise<Metrics>;

/** Points that are asked for. */
const LIMIT = 400;
/** Spans at most: more than any range has. */
const MOST_SPANS = 1000;
/** An event this old is stored, or never will be. */
const SETTLED_MS = 5000;

export interface SeriesPicture {
  /** The last two minutes. */
  points: readonly Point[];
  /** Sums over the range, where it has spans. */
  spans: readonly Span[];
  /** What `spans` are of; `LIVE` until the sums of another range have come. */
  range: Range;
  /** Why the stored part is missing. */
  error: string | undefined;
}

const NOTHING: SeriesPicture = { points: [], spans: [], range: LIVE, error: undefined };

export class MetricSeries {
  readonly #metric: string;
  readonly #ask: Ask;
  readonly #changed: () => void;
  #picture = NOTHING;
  #range = LIVE;
  /** Up to which time the sums are the server's. */
  #cut = Number.NEGATIVE_INFINITY;
  /** How often each stored point may still arrive as an event. */
  #stored = new Map<string, number>();
  /** Events since the question under way was sent; a newer question has a list of its own. */
  #arrived: Point[] | undefined;
  /** An answer has come since the connection last lost something. */
  #whole = false;

  constructor(metric: string, ask: Ask, changed: () => void) {
    this.#metric = metric;
    this.#ask = ask;
    this.#changed = changed;
  }

  /** The same object until something in it changes. */
  get picture(): SeriesPicture {
    return this.#picture;
  }

  /** Whether nothing is missing, as far as this page can know. */
  get whole(): boolean {
    return this.#whole;
  }

  /** Shows another range from now on. */
  show(range: Range): Promise<void> {
    if (range === this.#range) return Promise.resolve();
    this.#range = range;
    if (range.spans) return this.refresh();
    this.#set({ spans: [], range });
    return Promise.resolve();
  }

  /** A live event, each once and in the order of the room. */
  take(point: Point): void {
    this.#arrived?.push(point);
    this.#add(point);
  }

  /** Asks for everything again, and puts it in the place of what is here. */
  async refresh(): Promise<void> {
    const arrived: Point[] = [];
    const range = this.#range;
    this.#arrived = arrived;
    this.#whole = false;
    try {
      const recent = await this.#ask({ type: this.#metric, limit: LIMIT });
      if (this.#arrived !== arrived) return;
      const cut = cutOf(recent);
      const sums = range.spans && (await this.#ask(sumsUpTo(cut, this.#metric, range.spans, range.ms)));
      if (this.#arrived !== arrived) return;
      this.#join(range, pointsOf(recent), sums ? spansOf(sums.points) : [], cut, arrived);
    } catch (error) {
      if (this.#arrived !== arrived) return;
      this.#arrived = undefined;
      this.#set({ error: error instanceof Error ? error.message : String(error) });
    }
  }

  #join(range: Range, points: readonly Point[], sums: readonly Span[], cut: number, arrived: Point[]): void {
    const { spans } = range;
    this.#arrived = undefined;
    this.#whole = true;
    this.#cut = cut;
    this.#stored = new Map();
    for (const point of points) {
      const key = keyOf(point);
      this.#stored.set(key, (this.#stored.get(key) ?? 0) + 1);
    }
    const tail = points.filter((point) => point.t > cut);
    const joined = spans ? tail.reduce((all, point) => withPoint(all, point, spans.ms), sums) : [];
    this.#set({ points: recentOf(points), spans: joined, range, error: undefined });
    for (const point of arrived) this.#add(point);
  }

  #add(point: Point): void {
    const key = keyOf(point);
    const left = this.#stored.get(key) ?? 0;
    if (left > 0) {
      this.#stored.set(key, left - 1);
      return;
    }
    if (point.t <= this.#cut) {
      if (!this.#arrived) void this.refresh();
      return;
    }
    const { points, spans, range } = this.#picture;
    const after = points.findLastIndex((other) => other.t <= point.t) + 1;
    const sums = range.spans && withPoint(spans, point, range.spans.ms);
    this.#set({
      points: recentOf(points.toSpliced(after, 0, point)),
      ...(range.spans && sums ? { spans: newest(sums, range.ms, range.spans.ms) } : {}),
    });
  }

  #set(change: Partial<SeriesPicture>): void {
    this.#picture = { ...this.#picture, ...change };
    this.#changed();
  }
}

/** Where the sums end and the points begin: all before it is settled, and none of the points after it is left out. */
function cutOf({ points, to, truncated }: Metrics): number {
  const settled = Date.parse(to) - SETTLED_MS;
  const oldest = points[0];
  // More of the oldest point's millisecond may have been cut off.
  return !truncated || !oldest ? settled : Math.max(settled, Date.parse(oldest.timestamp));
}

function sumsUpTo(
  cut: number,
  type: string,
  spans: NonNullable<Range["spans"]>,
  rangeMs: number,
): MetricsGet {
  return {
    type,
    interval: spans.interval,
    startDate: new Date(beginOf(cut - rangeMs, spans.ms)).toISOString(),
    endDate: new Date(cut).toISOString(),
    limit: MOST_SPANS,
  };
}

function pointsOf({ points }: Metrics): readonly Point[] {
  return points.map(({ timestamp, values }) => ({ t: Date.parse(timestamp), values: numbersOf(values) }));
}

function recentOf(points: readonly Point[]): readonly Point[] {
  const from = (points.at(-1)?.t ?? 0) - WINDOW_MS;
  const first = points.findIndex((point) => point.t >= from);
  return first <= 0 ? points : points.slice(first);
}

/** The same for the same point, whichever way it came. */
function keyOf({ t, values }: Point): string {
  return `${t} ${Object.keys(values)
    .sort()
    .map((name) => `${name}=${values[name]}`)
    .join(" ")}`;
}
