/** The hook `useEvent`. */
import { useEffect } from "react";
import type { Call } from "../emitter.js";
import type { EventName, Listener, NameOf, Text } from "../events.js";
import type { RoomEventName, RoomListener } from "../room.js";
import type { Unsubscribe } from "../types.js";
import { useRealtimeClient } from "./context.js";
import { useMembership, useNewest } from "./membership.js";

/** `useEvent`, with the events `E` of an application. */
export interface UseEvent<E = unknown> {
  /**
   * Listens to an event while mounted, by whichever room it comes, as `client.on` does. The handler may be a new
   * function at each render: the newest is called. Never renders by itself.
   *
   * Not all that comes has just happened: `meta.snapshot` marks what was there before the room was joined (also for a component that
   * comes later), `meta.replayed` what was missed while the client was away. For a toast leave both out:
   * ```ts
   * useEvent("dashboard:overview", "agent_status_change", (data, meta) => {
   *   if (!meta.snapshot && !meta.replayed) toast(`${data.agentId} is ${data.status}`);
   * });
   * ```
   */
  <K extends EventName<E> | Text>(type: NameOf<K, EventName<E>, E>, handler: Listener<K, E>): void;
  /** The same for one room, which is joined while mounted (null: not now), as `useWebSocketRoom` does. */
  <K extends RoomEventName<E> | Text>(
    room: string | null | undefined,
    type: NameOf<K, RoomEventName<E>, E>,
    handler: RoomListener<K, E>,
  ): void;
}

/** Listens while mounted: `useEvent(type, handler)`, or `useEvent(room, type, handler)`, which joins the room. */
export const useEvent: UseEvent = useAnyEvent;

function useAnyEvent(...given: unknown[]): void {
  const client = useRealtimeClient();
  const inRoom = given.length > 2;
  const [room, type, handler] = (inRoom ? given : [undefined, ...given]) as [string | null, string, Call];
  useMembership(room, type, inRoom ? handler : undefined);
  const newest = useNewest(handler);
  useEffect(() => {
    const on = client.on as unknown as (name: string, call: Call) => Unsubscribe;
    return inRoom ? undefined : on(type, newest);
  }, [client, inRoom, type, newest]);
}
