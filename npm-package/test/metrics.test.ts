/** The store of metrics: the newest of each, for as long as a room brings it. */
import { expect, test } from "vitest";
import { MetricStore } from "../src/metrics.js";
import type { RoomState } from "../src/types.js";

let time = 0;
function update(store: MetricStore, metric: string, n: number, room = "dashboard:overview", first = true) {
  if (first) time += 1;
  const timestamp = new Date(time).toISOString();
  store.update({
    type: "metric_update",
    data: { metric, values: { n } },
    room,
    eventId: `${time}`,
    timestamp,
  });
}
const joined = (more: Partial<RoomState>, room = "dashboard:overview"): RoomState => ({
  room,
  status: "joined",
  ...more,
});
const shown = (store: MetricStore, ...metrics: string[]) =>
  metrics.map((metric) => store.get(metric)?.values.n);

test("a room that is refused or left brings nothing any more", () => {
  for (const status of ["refused", "left"] as const) {
    const store = new MetricStore();
    update(store, "a", 1);
    update(store, "b", 2, "team:1");
    store.room({ room: "dashboard:overview", status });
    expect(shown(store, "a", "b")).toEqual([undefined, 2]);
  }
});

test("what two rooms bring is known until neither does; the newest of the rest is shown", () => {
  const store = new MetricStore();
  update(store, "a", 1, "team:1");
  update(store, "a", 2, "team:2");
  update(store, "a", 2, "team:1", false);
  update(store, "a", 3, "team:3");
  const before = store.get("a");
  store.room({ room: "team:1", status: "left" });
  expect(store.get("a")).toBe(before);
  store.room({ room: "team:3", status: "refused" });
  expect(shown(store, "a")).toEqual([2]);
  store.room({ room: "team:2", status: "refused" });
  expect(shown(store, "a")).toEqual([undefined]);
});

test("a join that didn't recover: what the snapshot doesn't bring is gone once it is complete, and not before", () => {
  const store = new MetricStore();
  for (const metric of ["a", "b", "c"]) update(store, metric, 1);
  update(store, "d", 1, "team:1");
  store.room(joined({ recovered: true }));
  expect(shown(store, "a", "b", "c")).toEqual([1, 1, 1]);
  store.room(joined({ recovered: false, snapshotDue: 2 }));
  update(store, "a", 2);
  expect(shown(store, "a", "b", "c")).toEqual([2, 1, 1]);
  update(store, "b", 2);
  store.complete("dashboard:overview");
  expect(shown(store, "a", "b", "c", "d")).toEqual([2, 2, undefined, 1]);
  store.room(joined({ recovered: false }));
  expect(shown(store, "a", "b", "d")).toEqual([undefined, undefined, 1]);
});
