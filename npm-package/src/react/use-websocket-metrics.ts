/** The hook `useWebSocketMetrics`. */
import { useMemo, useSyncExternalStore } from "react";
import type { RealtimeClient } from "../client.js";
import type { EventFrame } from "../generated/protocol.js";
import { type Metric, metricOf } from "../metrics.js";
import type { RoomState } from "../types.js";
import { useRealtimeClient } from "./context.js";
import { type AnyEvent, type NewestEvents, NOTHING } from "./newest.js";
import { roomStore } from "./room-store.js";

/** How the metrics stand. */
export interface MetricsStatus {
  /**
   * The server has yet to answer for the present membership, or the snapshot is on its way. What is shown is what was known before:
   * nothing at first, over a reconnect what there was.
   */
  readonly loading: boolean;
  /** Why the room can't be joined; nothing is shown then. */
  readonly error: RoomState["error"];
}

/** The newest value of each metric asked for, undefined until there is one, and how they stand. */
export type MetricsByName<N extends string> = {
  readonly [K in Exclude<N, keyof MetricsStatus>]: Metric | undefined;
} & MetricsStatus;

/** A metric with one of the names that the answer has itself is asked for by `useRoomState(room, "metric_update", { key })`. */
type Free<N extends string> = [Extract<N, keyof MetricsStatus>] extends [never]
  ? unknown
  : "loading and error are how the metrics stand: use useRoomState(room, 'metric_update', { key })";

const ROOM = "dashboard:overview";
const TYPE = "metric_update";

type Names<N extends string> = { readonly [K in N]?: Metric };

function pick<N extends string>({ byKey, loading, error }: NewestEvents<AnyEvent>, names: readonly N[]) {
  const known = names.map((name) => {
    const event = byKey.get(name) as EventFrame | undefined;
    return [name, event && metricOf(event)];
  });
  return { ...(Object.fromEntries(known) as Names<N>), loading, error } as MetricsByName<N>;
}

function view<N extends string>(client: RealtimeClient, room: string | null, names: readonly N[]) {
  const nothing = pick(NOTHING, names);
  let last = nothing;
  const collection = () => (room === null ? undefined : roomStore(client, room).collection(TYPE, undefined));
  return {
    subscribe(changed: () => void) {
      const watched = collection();
      return watched === undefined ? () => {} : roomStore(client, room as string).watch(watched, changed);
    },
    /** The same object until something in it changed. */
    read() {
      const now = pick(collection()?.picture ?? NOTHING, names);
      const same = Object.keys(now).every(
        (key) => now[key as keyof typeof now] === last[key as keyof typeof now],
      );
      if (!same) last = now;
      return last;
    },
    nothing: () => nothing,
  };
}

/**
 * Joins `dashboard:overview` (or `room`; null: not now) while mounted and gives the newest value of each named metric, with
 * `loading` and `error`; the snapshot fills them at once, also when the room was joined long before by another component. What the user
 * may not see any more, and what a server that lost its data doesn't know, is not shown. Renders at most once a frame.
 */
export function useWebSocketMetrics<const N extends string>(
  names: readonly N[] & Free<N>,
  room: string | null = ROOM,
): MetricsByName<N> {
  const client = useRealtimeClient();
  const key = JSON.stringify(names);
  const { subscribe, read, nothing } = useMemo(
    () => view(client, room, JSON.parse(key) as N[]),
    [client, room, key],
  );
  return useSyncExternalStore(subscribe, read, nothing);
}
