/** What a chart shows of a metric's last minutes, and what to compare the newest value with. Pure. */
import type { Point } from "./metrics.ts";
import { WINDOW_MS } from "./ranges.ts";

/** Shortest time that a chart spreads over its width. */
const LEAST_MS = 20_000;

/**
 * From when to when a chart shows `points`, in milliseconds: the last `span`, or what there is of it, so
 * that a server that has just been started fills its charts too.
 */
export function domainOf(points: readonly Point[], span: number): [number, number] {
  const newest = points.at(-1)?.t ?? 0;
  const oldest = points[0]?.t ?? newest;
  return [Math.max(newest - span, Math.min(oldest, newest - LEAST_MS)), newest];
}

/**
 * The points of the last `span`, and the one before them, so that a line begins at the left edge whatever the distance
 * between two points is; with the time at that edge.
 */
export function windowOf(points: readonly Point[], span: number): { start: number; shown: readonly Point[] } {
  const newest = points.at(-1)?.t ?? 0;
  const oldest = points[0]?.t ?? newest;
  const start = Math.max(newest - span, oldest);
  const first = points.findLastIndex(({ t }) => t <= start);
  return { start, shown: points.slice(Math.max(0, first)) };
}

/** The value of `field` about a minute before the newest, to compare with. */
export function aMinuteAgo(points: readonly Point[], field: string): number | undefined {
  const newest = points.at(-1);
  if (!newest) return undefined;
  const before = points.findLast((point) => point.t <= newest.t - WINDOW_MS / 2) ?? points[0];
  return before === newest ? undefined : before?.values[field];
}
