/** The hook `useRoomState`. */
import { useMemo, useSyncExternalStore } from "react";
import type { RealtimeClient } from "../client.js";
import type { EventMap, EventMeta, EventOf, NameOf, Text } from "../events.js";
import { useRealtimeClient } from "./context.js";
import { type NewestEvent, type NewestEvents, NO_EVENT, NOTHING } from "./newest.js";
import { roomStore } from "./room-store.js";

/** What a key is, and which is wanted; `F` are the fields of the type's data, where they are known. */
export interface RoomStateOptions<F extends string = string> {
  /**
   * The fields of the data that are the key. Default: what the protocol says (§4: `metric`, `agentId`, `userId` and
   * `jobId`, `clipId`); of any other type the newest event of all is kept, under the key `""`. In development a field that
   * the first event doesn't have is told on the console.
   */
  keyBy?: F | readonly F[] | undefined;
  /** Only this one: renders again for no other. A key of several fields is the list of their values. */
  key?: string | readonly (string | undefined)[] | undefined;
}

/** An event of a type that the types don't know. */
export type UnknownEvent = EventMeta & { data: Record<string, unknown> };

type Keyed<F extends string> = RoomStateOptions<F> & { key: NonNullable<RoomStateOptions["key"]> };
/** The fields of each of several kinds of data. */
type Fields<D> = D extends unknown ? keyof D & string : never;
type FieldOf<K extends string, E> = K extends keyof EventMap<E> ? Fields<EventMap<E>[K]> : string;
/** The types whose newest events can be asked for. */
type StateName<E> = keyof EventMap<E> & string;
type StateEvent<K extends string, E> = K extends keyof EventMap<E> ? EventOf<K, E> : UnknownEvent;

/** `useRoomState`, with the events `E` of an application. */
export interface UseRoomState<E = unknown> {
  <K extends StateName<E> | Text>(
    room: string | null | undefined,
    type: NameOf<K, StateName<E>, E>,
    options: Keyed<FieldOf<K, E>>,
  ): NewestEvent<StateEvent<K, E>>;
  <K extends StateName<E> | Text>(
    room: string | null | undefined,
    type: NameOf<K, StateName<E>, E>,
    options?: RoomStateOptions<FieldOf<K, E>> & { key?: undefined },
  ): NewestEvents<StateEvent<K, E>>;
}

function view(
  client: RealtimeClient,
  room: string | null | undefined,
  type: string,
  fields: readonly string[] | undefined,
  key: string | undefined,
) {
  const nothing = () => (key === undefined ? NOTHING : NO_EVENT);
  if (room == null) return { subscribe: () => () => {}, read: nothing, nothing };
  return {
    subscribe(changed: () => void) {
      const store = roomStore(client, room);
      return store.watch(store.collection(type, fields), changed);
    },
    read() {
      const collection = roomStore(client, room).collection(type, fields);
      return key === undefined ? collection.picture : collection.ofKey(key);
    },
    nothing,
  };
}

/**
 * Joins a room while mounted (null: not now) and gives the newest event of each key of a type, filled at once by
 * the snapshot, also for a component that comes later. Renders at most once a frame, however much arrives.
 */
export const useRoomState = useAnyRoomState as UseRoomState;

function useAnyRoomState(
  room: string | null | undefined,
  type: string,
  { keyBy, key }: RoomStateOptions = {},
): NewestEvents<unknown> | NewestEvent<unknown> {
  const client = useRealtimeClient();
  // As text, because lists are new ones at each render.
  const by = keyBy === undefined ? undefined : [keyBy].flat().join("\n");
  const one = key === undefined ? undefined : [key].flat().join("\n");
  const { subscribe, read, nothing } = useMemo(
    () => view(client, room, type, by?.split("\n"), one),
    [client, room, type, by, one],
  );
  return useSyncExternalStore<NewestEvents<unknown> | NewestEvent<unknown>>(subscribe, read, nothing);
}
