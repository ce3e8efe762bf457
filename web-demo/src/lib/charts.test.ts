/** What makes the charts ask the server, and how often they are drawn. */
import type { Metrics, MetricsGet, RealtimeEvent } from "@osbackend/realtime";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { MetricCharts } from "./charts.ts";
import { RANGES, type Range } from "./ranges.ts";

const T = 1_800_000_000_000;
const update = (offset: number, metric = "voice_call", more: Partial<RealtimeEvent> = {}): RealtimeEvent =>
  ({
    type: "metric_update",
    room: "dashboard:overview",
    offset,
    eventId: `e${offset}`,
    timestamp: new Date(T + offset * 1000).toISOString(),
    data: { metric, values: { active: offset } },
    ...more,
  }) as RealtimeEvent;

describe("MetricCharts", () => {
  let asked: MetricsGet[];
  let frames: (() => void)[];
  let charts: MetricCharts;
  let fail: boolean;

  beforeEach(() => {
    vi.useFakeTimers();
    [asked, frames, fail] = [[], [], false];
    const ask = async (query: MetricsGet): Promise<Metrics> => {
      asked.push(query);
      if (fail) throw new Error("the connection was lost");
      return { from: new Date(0).toISOString(), to: new Date(T).toISOString(), points: [] };
    };
    charts = new MetricCharts(ask, (draw) => frames.push(draw));
  });

  afterEach(() => vi.useRealTimers());

  const joined = async (recovered: boolean, offset: number) => {
    charts.joined({ recovered, offset });
    await vi.runAllTimersAsync();
    return asked.splice(0).length;
  };

  test("ask at a join that recovered nothing, and at a recovered one only what was cut off", async () => {
    expect(await joined(false, 5)).toBe(4);
    expect(await joined(true, 5)).toBe(0);
    fail = true;
    expect(await joined(false, 5)).toBe(4);
    fail = false;
    expect(await joined(true, 5)).toBe(4);
  });

  test("ask again, once, where the stream left something out", async () => {
    await joined(false, 5);
    charts.take(update(6));
    await vi.runAllTimersAsync();
    expect(asked).toEqual([]);
    charts.take(update(9, "voice_call", { skipped: 2 }));
    charts.take(update(20));
    await vi.runAllTimersAsync();
    expect(asked).toHaveLength(4);
  });

  test("take a snapshot for what it is: stored already", async () => {
    await joined(false, 5);
    charts.take(update(3, "voice_call", { snapshot: true }));
    charts.take(update(6));
    for (const draw of frames.splice(0)) draw();
    expect(charts.picture().voice_call.points).toHaveLength(1);
  });

  test("ask for spans of the metric that is shown only", async () => {
    const hour = RANGES[1] as Range;
    charts.show("call_cost", hour);
    await vi.runAllTimersAsync();
    charts.show("voice_call", hour);
    await vi.runAllTimersAsync();
    const spans = asked.filter(({ interval }) => interval !== undefined);
    expect(spans.map(({ type }) => type)).toEqual(["call_cost", "voice_call"]);
    for (const draw of frames.splice(0)) draw();
    expect(charts.picture()).toMatchObject({
      call_cost: { range: { id: "live" } },
      voice_call: { range: hour },
    });
  });

  test("are drawn once a frame, however much comes", async () => {
    await joined(false, 0);
    for (const draw of frames.splice(0)) draw();
    const drawn = vi.fn();
    charts.subscribe(drawn);
    const before = charts.picture();
    for (let offset = 1; offset <= 1000; offset++) charts.take(update(offset));
    expect(charts.picture()).toBe(before);
    expect(frames).toHaveLength(1);
    for (const draw of frames.splice(0)) draw();
    expect(drawn).toHaveBeenCalledTimes(1);
    expect(charts.picture().voice_call.points.at(-1)?.values.active).toBe(1000);
  });
});
