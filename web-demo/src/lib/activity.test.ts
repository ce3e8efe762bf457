/** The meter tells rates, and tells a missed offset from one that was conflated. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ActivityMeter, CHART_SECONDS } from "./activity.ts";

const ROOM = "agent:7";

describe("ActivityMeter", () => {
  let meter: ActivityMeter;
  let end: () => void;

  beforeEach(() => {
    vi.useFakeTimers();
    meter = new ActivityMeter();
    end = meter.subscribe(() => {});
  });

  afterEach(() => {
    end();
    vi.useRealTimers();
  });

  const receive = (...offsets: number[]) => {
    for (const offset of offsets) meter.record(ROOM, { offset });
  };
  const picture = () => {
    vi.advanceTimersByTime(1000);
    return meter.picture();
  };

  test("shows the newest offset and the rate over the last seconds", () => {
    receive(1, 2, 3, 4);
    vi.advanceTimersByTime(1000);
    receive(5, 6);
    expect(picture()).toMatchObject({
      rooms: { [ROOM]: { offset: 6, rate: 3, total: 6 } },
      rate: 3,
      missed: 0,
    });
    expect(meter.picture().perSecond).toHaveLength(CHART_SECONDS);
    expect(meter.picture().perSecond.slice(-2)).toEqual([4, 2]);
  });

  test("counts the offsets that are left out", () => {
    receive(1, 2, 6);
    expect(picture().missed).toBe(3);
  });

  test("takes conflated offsets for no loss", () => {
    receive(1);
    meter.record(ROOM, { offset: 5, skipped: 3 });
    expect(picture().missed).toBe(0);
  });

  test("takes a snapshot for no event", () => {
    meter.restart(ROOM, 40);
    meter.record(ROOM, { offset: 12, snapshot: true });
    meter.record(ROOM, { offset: 41 });
    expect(picture()).toMatchObject({ rooms: { [ROOM]: { offset: 41, total: 1 } }, missed: 0 });
  });

  test("counts on from where an unrecovered join begins", () => {
    receive(1, 2);
    meter.restart(ROOM, 90);
    receive(91);
    meter.restart(ROOM, 0);
    receive(1);
    expect(picture()).toMatchObject({ rooms: { [ROOM]: { offset: 1 } }, missed: 0 });
  });

  test("tells a room that had to start over from one that was joined first", () => {
    meter.restart(ROOM, 40);
    expect(picture().rooms[ROOM]?.startedOver).toBe(false);
    meter.restart(ROOM, 3);
    expect(picture().rooms[ROOM]?.startedOver).toBe(true);
  });

  test("renders once a second however much arrives", () => {
    const listener = vi.fn();
    const off = meter.subscribe(listener);
    receive(...Array.from({ length: 500 }, (_, index) => index + 1));
    expect(listener).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1000);
    expect(listener).toHaveBeenCalledTimes(1);
    off();
  });

  test("forgets a room that was left", () => {
    receive(1);
    meter.forget(ROOM);
    expect(picture().rooms).toEqual({});
  });
});
