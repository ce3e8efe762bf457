/** The hook `useWebSocketMetrics`. */
import { useMemo, useSyncExternalStore } from "react";
import type { Metric, MetricStore } from "../metrics.js";
import { useRealtimeClient } from "./context.js";
import { onceAFrame } from "./frame.js";
import { useMembership } from "./membership.js";

/** The newest value of each metric asked for; undefined until there is one. */
export type MetricsByName<N extends string> = { readonly [K in N]: Metric | undefined };

const ROOM = "dashboard:overview";

/** A view of some metrics: the same object until one of them changed. */
function selection<N extends string>(metrics: MetricStore, names: readonly N[]) {
  let last: MetricsByName<N> | undefined;
  return (): MetricsByName<N> => {
    if (last === undefined || names.some((name) => last?.[name] !== metrics.get(name))) {
      last = Object.fromEntries(names.map((name) => [name, metrics.get(name)])) as MetricsByName<N>;
    }
    return last;
  };
}

/**
 * Joins `dashboard:overview` (or `room`) while mounted and gives the newest value of each named metric; the
 * snapshot fills them at once, also when the room was joined long before by another component.
 */
export function useWebSocketMetrics<const N extends string>(
  names: readonly N[],
  room: string | null = ROOM,
): MetricsByName<N> {
  const { metrics } = useRealtimeClient();
  useMembership(room);
  const key = JSON.stringify(names);
  const read = useMemo(() => selection(metrics, JSON.parse(key) as N[]), [metrics, key]);
  const onServer = useMemo(() => {
    const nothing = Object.fromEntries((JSON.parse(key) as N[]).map((name) => [name, undefined]));
    return () => nothing as MetricsByName<N>;
  }, [key]);
  const subscribe = useMemo(() => onceAFrame(metrics.subscribe), [metrics]);
  return useSyncExternalStore(subscribe, read, onServer);
}
