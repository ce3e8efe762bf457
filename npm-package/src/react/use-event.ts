/** The hook `useEvent`. */
import { useEffect } from "react";
import type { Call } from "../emitter.js";
import type { EventName, Listener, UnknownListener } from "../events.js";
import type { RoomEventName, RoomListener } from "../room.js";
import type { Unsubscribe } from "../types.js";
import { useRealtimeClient } from "./context.js";
import { useMembership, useNewest } from "./membership.js";

/** A name that the types don't know. */
type OtherName<N extends string, Known> = N extends Known ? never : N;

/**
 * Listens to an event while mounted, by whichever room it comes, as `client.on` does. The handler may be a new
 * function at each render: the newest is called. Never renders by itself.
 */
export function useEvent<K extends EventName>(type: K, handler: Listener<K>): void;
export function useEvent<N extends string>(type: OtherName<N, EventName>, handler: UnknownListener): void;
/** The same for one room, which is joined while mounted (null: not now), as `useWebSocketRoom` does. */
export function useEvent<K extends RoomEventName>(
  room: string | null | undefined,
  type: K,
  handler: RoomListener<K>,
): void;
export function useEvent<N extends string>(
  room: string | null | undefined,
  type: OtherName<N, RoomEventName>,
  handler: UnknownListener,
): void;
export function useEvent(...given: unknown[]): void {
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
