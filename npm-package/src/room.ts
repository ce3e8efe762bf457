/** A room as one user of it holds it. */
import type { Call, Emitter } from "./emitter.js";
import type { EventMap, MetaOf, NameOf, RealtimeEvent, SystemEvents, Text } from "./events.js";
import type { Action, Published } from "./generated/protocol.js";
import type { RoomPresence } from "./presence.js";
import { Raw } from "./raw.js";
import type { EmitData, EmitName, EmitType } from "./requests.js";
import type { RoomState, Unsubscribe } from "./types.js";

/** What a room tells beside its events. */
export interface RoomTells<E = unknown> {
  /** The room was joined, refused or left. */
  room: RoomState;
  /** Every event of the room, whatever its name. */
  "*": RealtimeEvent<E>;
}

type RoomSystem = Pick<SystemEvents, "presence" | "presence_join" | "presence_leave">;

/** Every name that a room's types know. */
export type RoomEventName<E = unknown> = (keyof EventMap<E> & string) | keyof RoomSystem | keyof RoomTells;

/** What arrives under a name in a room. */
export type RoomDataOf<K extends string, E = unknown> = K extends keyof RoomTells
  ? RoomTells<E>[K]
  : K extends keyof RoomSystem
    ? RoomSystem[K]
    : K extends keyof EventMap<E>
      ? EventMap<E>[K]
      : Record<string, unknown>;

/** The listener for a name in a room. */
export type RoomListener<K extends string, E = unknown> = [K] extends [keyof RoomTells]
  ? (value: RoomDataOf<K, E>) => void
  : (data: RoomDataOf<K, E>, meta: MetaOf<K>) => void;

/** `on` and `once` of a room. */
export type RoomSubscribe<E = unknown> = <K extends RoomEventName<E> | Text>(
  name: NameOf<K, RoomEventName<E>, E>,
  listener: RoomListener<K, E>,
) => Unsubscribe;

/** `off` of a room. */
export type RoomRemove<E = unknown> = <K extends RoomEventName<E> | Text>(
  name: NameOf<K, RoomEventName<E>, E>,
  listener: RoomListener<K, E>,
) => void;

/** How an event is published. */
export interface PublishOptions {
  /** Publishing again with the same key within five minutes stores nothing new. Each event has a key without this too. */
  idempotencyKey?: string | undefined;
  /** For who is there now only: no offset, no history (§5). It is not retried. */
  ephemeral?: boolean | undefined;
  /** How long to try, over reconnects, in milliseconds. Default: `publishTimeoutMs` of the client. */
  timeoutMs?: number | undefined;
}

/** `emit`, with the room left out. */
export type RoomEmit<E = unknown> = <K extends EmitName<E> | Text>(
  type: EmitType<K, E>,
  data: EmitData<K, E>,
  options?: PublishOptions,
) => Promise<Published>;

/** A room of a client with any events. */
// biome-ignore lint/suspicious/noExplicitAny: no other argument takes handles of every kind
export type AnyRoom = RoomHandle<any>;

/** What a handle asks of the client. */
export interface RoomOwner {
  roomState(room: string): RoomState | undefined;
  can(room: string, action: Action): boolean;
  presence(room: string): RoomPresence;
  publish(room: string, type: string, data: unknown, options?: PublishOptions): Promise<Published>;
  release(handle: AnyRoom): void;
}

/** Holds a membership until `leave`; the room is left when its last handle is. */
export class RoomHandle<E = unknown> extends Raw {
  /** The room's name. */
  readonly name: string;
  /** Listens to this room only; fires for an event in it even when another room brought it first. */
  readonly on: RoomSubscribe<E>;
  /** As `on`, for the next time only. */
  readonly once: RoomSubscribe<E>;
  /** Ends what `on` or `once` of this handle began with this listener. */
  readonly off: RoomRemove<E>;
  /** Publishes into the room, for who may (`can("publish")`). Rejects with a `RealtimeError`. */
  readonly emit: RoomEmit<E>;
  readonly #owner: RoomOwner;
  readonly #subscriptions = new Set<{ name: string; call: Call; end: Unsubscribe }>();
  readonly #leftState: RoomState;
  #left = false;

  /** @internal */
  constructor(name: string, emitter: Emitter, owner: RoomOwner) {
    super();
    this.name = name;
    this.#owner = owner;
    this.#leftState = { room: name, status: "left", reason: "requested" };
    const listen = (once: boolean) => (event: string, listener: unknown) => {
      if (this.#left) return () => {};
      const call = listener as Call;
      const forget: Call = (value, meta) => {
        this.#subscriptions.delete(subscription);
        call(value, meta);
      };
      const end = emitter.on(event, once ? forget : call, once);
      const subscription = { name: event, call, end };
      this.#subscriptions.add(subscription);
      return () => {
        this.#subscriptions.delete(subscription);
        subscription.end();
      };
    };
    this.on = listen(false) as RoomSubscribe<E>;
    this.once = listen(true) as RoomSubscribe<E>;
    this.off = ((event: string, call: unknown) => {
      for (const subscription of this.#subscriptions) {
        if (subscription.name !== event || subscription.call !== call) continue;
        this.#subscriptions.delete(subscription);
        subscription.end();
      }
    }) as RoomRemove<E>;
    this.emit = ((type: string, data: unknown, options?: PublishOptions) =>
      owner.publish(name, type, data, options)) as RoomEmit<E>;
  }

  /** Where the room is; the same object until it changes. */
  get state(): RoomState {
    return (this.#left ? undefined : this.#owner.roomState(this.name)) ?? this.#leftState;
  }

  /** Who is in the room, while `client.presence` or `usePresence` watches it. */
  get presence(): RoomPresence {
    return this.#owner.presence(this.name);
  }

  /** Whether the policy lets this user do that here; false while it is not known. */
  can(action: Action): boolean {
    return this.#owner.can(this.name, action);
  }

  /** Ends this handle and its listeners. Calling it again does nothing. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    for (const subscription of this.#subscriptions) subscription.end();
    this.#subscriptions.clear();
    this.#owner.release(this);
  }
}
