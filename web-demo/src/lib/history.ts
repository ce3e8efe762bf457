/** The last minutes of each metric, in the order of time and without doubles. Pure. */
import type { Point, Values } from "./metrics.ts";

/** How far back the charts reach. */
export const WINDOW_MS = 120_000;

export type History = Readonly<Record<string, readonly Point[]>>;

export interface Sample extends Point {
  metric: string;
}

/**
 * `history` with `samples` in it. They may come late (a backfill arrives after live updates did) and
 * twice (a snapshot repeats what a backfill holds).
 */
export function withSamples(history: History, samples: readonly Sample[]): History {
  if (samples.length === 0) return history;
  const next: Record<string, readonly Point[]> = { ...history };
  for (const [metric, added] of byMetric(samples)) next[metric] = merge(next[metric] ?? [], added);
  return next;
}

function byMetric(samples: readonly Sample[]): Map<string, Sample[]> {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const group = groups.get(sample.metric);
    if (group) group.push(sample);
    else groups.set(sample.metric, [sample]);
  }
  return groups;
}

function merge(points: readonly Point[], added: readonly Point[]): readonly Point[] {
  const byTime = new Map<number, Values>();
  for (const { t, values } of points) byTime.set(t, values);
  for (const { t, values } of added) byTime.set(t, values);
  const all = [...byTime].map(([t, values]) => ({ t, values })).sort((a, b) => a.t - b.t);
  const newest = all.at(-1)?.t ?? 0;
  return all.filter((point) => point.t >= newest - WINDOW_MS);
}

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

/** The value of `field` about a minute before the newest, to compare with. */
export function aMinuteAgo(points: readonly Point[], field: string): number | undefined {
  const newest = points.at(-1);
  if (!newest) return undefined;
  const before = points.findLast((point) => point.t <= newest.t - WINDOW_MS / 2) ?? points[0];
  return before === newest ? undefined : before?.values[field];
}
