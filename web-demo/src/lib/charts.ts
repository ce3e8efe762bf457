/** The metrics of the page: their live events handed to each, and asked for again where the stream left something out. */
import type { RealtimeEvent, RoomState } from "@osbackend/realtime";
import { METRICS, type MetricName, numbersOf } from "./metrics.ts";
import { LIVE, type Range } from "./ranges.ts";
import { type Ask, MetricSeries, type SeriesPicture } from "./series.ts";

export type Charts = Readonly<Record<MetricName, SeriesPicture>>;

/** Between two askings for what was conflated: a page that can't keep up must not ask all the time. */
const ASK_AGAIN_MS = 1000;

export class MetricCharts {
  readonly #series: ReadonlyMap<string, MetricSeries>;
  readonly #listeners = new Set<() => void>();
  readonly #paint: (draw: () => void) => void;
  #picture: Charts | undefined;
  #told = true;
  #shown: MetricName | undefined;
  /** Offset of the newest event of the room; undefined until a join told one. */
  #offset: number | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;

  /** `paint` calls back before the next frame is drawn. */
  constructor(ask: Ask, paint: (draw: () => void) => void = (draw) => requestAnimationFrame(draw)) {
    this.#paint = paint;
    this.#series = new Map(
      METRICS.map((metric) => [metric, new MetricSeries(metric, ask, () => this.#changed())]),
    );
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      clearTimeout(this.#again);
      this.#again = undefined;
    };
  };

  /** The same object until something in it changes. */
  readonly picture = (): Charts => {
    this.#picture ??= Object.fromEntries(
      [...this.#series].map(([metric, series]) => [metric, series.picture]),
    ) as unknown as Charts;
    return this.#picture;
  };

  /** `metric` over `range`; the others show points only. */
  show(metric: MetricName, range: Range): void {
    if (this.#shown !== undefined && this.#shown !== metric) void this.#series.get(this.#shown)?.show(LIVE);
    this.#shown = metric;
    void this.#series.get(metric)?.show(range);
  }

  /** The room was joined, for the first time or again. */
  joined({ recovered, offset }: Pick<RoomState, "recovered" | "offset">): void {
    if (!recovered) this.#offset = offset;
    for (const series of this.#series.values()) {
      // What a recovered join missed comes as events; a question that was under way was lost.
      if (!recovered || !series.whole) void series.refresh();
    }
  }

  /** An event of the room. */
  take(event: RealtimeEvent): void {
    // A snapshot repeats what is stored.
    if (event.snapshot) return;
    const { offset, skipped = 0 } = event;
    const missed = this.#offset !== undefined && offset !== undefined && offset > this.#offset + 1;
    if (offset !== undefined) this.#offset = offset;
    if (event.type === "metric_update") {
      const { metric, values } = event.data;
      this.#series.get(metric)?.take({ t: Date.parse(event.timestamp), values: numbersOf(values) });
    }
    if (missed || skipped > 0) this.#askAgain();
  }

  /** Asks for everything. */
  refresh(): void {
    for (const series of this.#series.values()) void series.refresh();
  }

  #askAgain(): void {
    this.#again ??= setTimeout(() => {
      this.#again = undefined;
      this.refresh();
    }, ASK_AGAIN_MS);
  }

  /** Once for all that changes before the page is painted again, however much it is; a hidden page isn't. */
  #changed(): void {
    if (!this.#told) return;
    this.#told = false;
    this.#paint(() => {
      this.#told = true;
      this.#picture = undefined;
      for (const listener of this.#listeners) listener();
    });
  }
}
