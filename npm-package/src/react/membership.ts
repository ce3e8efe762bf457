/** Holds a room, with one listener in it, for as long as a component is mounted. */
import { useEffect, useInsertionEffect, useRef } from "react";
import type { RealtimeClient } from "../client.js";
import type { Call } from "../emitter.js";
import type { RealtimeEvent } from "../events.js";
import type { Unsubscribe } from "../types.js";
import { useRealtimeClient } from "./context.js";
import { GRACE_MS } from "./grace.js";

/** Calls the function of the newest render; the one that is given back stays the same. */
export function useNewest(handler: Call | undefined): Call {
  const newest = useRef(handler);
  // Before any other effect, so that no event in between reaches a handler that is gone.
  useInsertionEffect(() => {
    newest.current = handler;
  }, [handler]);
  return useRef<Call>((value, meta) => newest.current?.(value, meta)).current;
}

/**
 * Joins `room` (null: not now) and, where there is a `name`, listens to it there. Where the room was joined before,
 * by another component, the newest events of that name (`"*"`: of any) come at once.
 */
export function useMembership(
  room: string | null | undefined,
  name?: string,
  handler?: Call,
  snapshot = true,
): void {
  const client = useRealtimeClient();
  const newest = useNewest(handler);
  const told = useRef<{ client: RealtimeClient; room: string; name: string | undefined }>(undefined);
  useEffect(() => {
    if (room == null) {
      told.current = undefined;
      return;
    }
    const handle = client.joinRoom(room, { snapshot });
    const on = handle.on as unknown as (name: string, call: Call) => Unsubscribe;
    const off = name === undefined ? undefined : on(name, newest);
    // StrictMode does this twice; once is enough.
    const before = told.current;
    const again = before?.client === client && before.room === room && before.name === name;
    told.current = { client, room, name };
    const tell = (event: RealtimeEvent) => {
      if (name === "*") newest(event);
      else if (event.type === name) newest(event.data, event);
    };
    if (snapshot && name !== undefined && !again) client.replay(room, tell);
    return () => {
      off?.();
      setTimeout(() => handle.leave(), GRACE_MS);
    };
  }, [client, room, name, snapshot, newest]);
}
