/** The client: one connection, its rooms and its listeners, as the application sees them. */
import { type Core, type CoreFactory, text } from "./core.js";
import { dispatcher, type Receivers } from "./dispatch.js";
import { type Call, Emitter } from "./emitter.js";
import { endOf, hasEnded, isResting } from "./ends.js";
import { asError, fromBody, messageOf, RealtimeError } from "./errors.js";
import { isLocal, type RealtimeEvent, type Remove, type Subscribe } from "./events.js";
import type { Action } from "./generated/protocol.js";
import { Holder } from "./holder.js";
import { connects, type Inspectable, watched } from "./inspect.js";
import type { Latest } from "./latest.js";
import { Loading } from "./loading.js";
import { MetricStore } from "./metrics.js";
import { coreOptions, sameOptions } from "./options.js";
import { Outgoing } from "./outgoing.js";
import { Parts, type Ready } from "./parts.js";
import { PresenceStore } from "./presence.js";
import { Raw } from "./raw.js";
import { Replies } from "./replies.js";
import { reportFailure } from "./report.js";
import type { Emit, Request, RequestOptions } from "./requests.js";
import type { PublishOptions, RoomHandle, RoomOwner } from "./room.js";
import { Rooms } from "./rooms.js";
import { Teller } from "./teller.js";
import type {
  ClientOptions,
  ClientSnapshot,
  ConnectionState,
  RoomState,
  TokenSource,
  Unsubscribe,
} from "./types.js";
import { Waiter } from "./waiter.js";

/** One connection to a server. Nothing is touched before `connect`: making one is safe on a server. */
export class RealtimeClient<E = unknown> extends Raw {
  /** Listens by name; an event that arrives by two rooms fires once. Gives back what ends it. */
  readonly on: Subscribe<E>;
  /** As `on`, for the next time only. */
  readonly once: Subscribe<E>;
  /** Ends what `on` or `once` began with this listener. */
  readonly off: Remove<E>;
  /** Asks the server something; rejects with a `RealtimeError`. Waits in order while offline. */
  readonly request: Request;
  /** Publishes into a room, for who may (`can(room, "publish")`). */
  readonly emit: Emit<E>;
  /** The newest value of each metric that has arrived. */
  readonly metrics = new MetricStore();
  /** Who is in the rooms that are watched. */
  readonly presence: PresenceStore;
  /** @internal For the devtools. */
  readonly seen: Inspectable["seen"] = { opened: new Set() };

  readonly #defaults: ClientOptions;
  readonly #parts: Parts;
  readonly #teller = new Teller();
  readonly #local = this.#teller.local;
  readonly #wire = new Emitter((thrown, name) => this.#teller.listenerFailed(thrown, name));
  readonly #rooms: Rooms;
  readonly #replies = new Replies();
  readonly #outgoing: Outgoing;
  readonly #connected = new Waiter();
  readonly #readers = new Set<() => void>();
  readonly #roomOwner: RoomOwner;
  readonly #receivers: Receivers;
  readonly #holder = new Holder();
  readonly #loads = new Loading();
  #options: ClientOptions;
  #tokenCall = 0;
  /** A new source of tokens hasn't said yet whose it is: what is asked meanwhile is not the last user's to ask. */
  #undecided = false;
  /** Ends what follows the source of tokens. */
  #unfollow: Unsubscribe | undefined;
  #user: string | undefined;
  #core: Core | undefined;
  #loading = false;
  /** Between `connect` and whatever closes the connection for good. */
  #wanted = false;
  /** `disconnect` was called since: whoever comes next may be somebody else. */
  #over = false;
  #state: ConnectionState = { status: "idle" };
  #snapshot: ClientSnapshot | undefined;

  /** @internal Use `createClient`. */
  constructor(options: NoInfer<ClientOptions<E>>, load: () => Promise<CoreFactory>) {
    super();
    // Within, data is what it is: nothing here looks at an event's own type.
    this.#defaults = options as ClientOptions;
    this.#options = this.#defaults;
    this.#parts = new Parts(() => load().then((factory) => watched(factory, this.seen)));
    this.#rooms = new Rooms(
      (thrown, name) => this.#teller.listenerFailed(thrown, name),
      (state) => this.#roomChanged(state),
    );
    this.presence = new PresenceStore(
      (room, resolve, reject) => {
        // Not by the promise of `request`: what comes in the same frame would be told before it.
        if (this.#core !== undefined)
          this.#replies.ask(this.#core, "presence:get", { room }, undefined, { resolve, reject });
      },
      (room) => this.#core !== undefined && this.#rooms.state(room)?.status === "joined",
    );
    this.#outgoing = new Outgoing({
      replies: this.#replies,
      core: () => this.#decided,
      isClosed: () => hasEnded(this.#state),
      options: () => this.#options,
      failed: (error) => this.#teller.failed(error),
    });
    this.#receivers = {
      wire: this.#wire,
      local: this.#local,
      rooms: this.#rooms,
      metrics: this.metrics,
      presence: this.presence,
      replies: this.#replies,
      validators: () => this.#options.validators,
      needToken: () => this.#giveToken(),
      state: (state) => this.#stateChanged(state),
      system: (frame) => this.#holder.heard(frame) && this.#teller.textExpires(),
      failed: (error) => this.#teller.failed(error),
      kept: (bad) => {
        if (this.#local.has("protocol_error")) this.#local.emit("protocol_error", bad);
        else this.#parts.checks?.report(bad);
      },
    };
    this.#roomOwner = {
      roomState: (room) => this.roomState(room),
      can: (room, action) => this.can(room, action),
      presence: (room) => this.presence.get(room),
      publish: (room, type, data, options) => this.#outgoing.publish(room, type, data, options),
      release: (handle) => this.#rooms.release(handle, this.#core),
    };
    const emitter = (name: string) => (isLocal(name) ? this.#local : this.#wire);
    this.on = ((name: string, call: unknown) => emitter(name).on(name, call as Call)) as Subscribe<E>;
    this.once = ((name: string, call: unknown) => emitter(name).on(name, call as Call, true)) as Subscribe<E>;
    this.off = ((name: string, call: unknown) => emitter(name).off(name, call as Call)) as Remove<E>;
    this.request = ((type: string, payload?: unknown, options?: RequestOptions) =>
      this.#outgoing.request(type, payload, options)) as Request;
    this.emit = ((room: string, type: string, data: unknown, options?: PublishOptions) =>
      this.#outgoing.publish(room, type, data, options)) as Emit<E>;
  }

  /** Where the connection is; the same object until it changes. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** This client's id on the server, kept over reconnects that resume. */
  get clientId(): string | undefined {
    return this.#core?.clientId;
  }

  /** Every room with its position as of now. */
  get rooms(): RoomState[] {
    const known = this.#rooms.states();
    if (this.#core === undefined) return known;
    const live = new Map(this.#core.rooms().map((state) => [state.room, state]));
    return known.map((state) => live.get(state.room) ?? state);
  }

  /**
   * Connects, and stays connected over losses until `disconnect`. What is left out is as it was in the
   * call before. Resolves when connected; rejects with a `RealtimeError` when closed before that, also where that is for a
   * rest only (the state tells it too, so the promise may be ignored). On a live connection a fresh token of the
   * same user is taken over in place. A function that is another one is asked at once. Another user's token, another
   * `user` or other options make a new connection; of another user nothing is kept.
   */
  connect(token?: TokenSource, options?: ClientOptions<E>): Promise<void> {
    const holder = this.#holder;
    const before = { source: holder.source, options: this.#options };
    const isNew = token !== undefined && token !== before.source;
    if (token !== undefined) {
      if (isNew) this.#unfollow?.();
      holder.source = token;
      if (typeof token === "function") this.#unfollow = token.follow?.(this);
    }
    if (options !== undefined) this.#options = { ...this.#defaults, ...(options as ClientOptions) };
    const users = [before.options.user, this.#options.user];
    const named = users.every((user) => user !== undefined);
    const sameUser = named && users[0] === users[1];
    const otherText = token !== undefined && typeof token !== "function" && holder.isOthers(token);
    // After a logout it can't be waited for who is next: the server may be away.
    const otherUser =
      (named && !sameUser) || otherText || (this.#over && isNew && !sameUser && !holder.isText);
    this.#wanted = true;
    this.#over = false;
    if (this.#state.status === "closed") this.#teller.begins();
    connects(this);
    const connected = this.#connected.promise();
    if (otherUser || !sameOptions(before.options, this.#options)) this.#drop(otherUser);
    const core = this.#core;
    if (core === undefined) {
      this.#start();
      return connected;
    }
    const { status } = this.#state;
    if (isNew) core.fixToken(holder.isText);
    if (isNew && !sameUser && status !== "closed") this.recheck();
    else if (isNew && holder.isText) this.#giveToken();
    if (status !== "connected") core.connect();
    else if (!this.#undecided) this.#connected.resolve();
    return connected;
  }

  /** Closes for good, and says goodbye: others see at once that this user is gone. Rooms and listeners serve the next `connect`. */
  disconnect(): void {
    this.#unfollow?.();
    this.#wanted = false;
    this.#over = true;
    this.#undecided = false;
    this.#loads.reset();
    if (this.#core !== undefined) this.#core.disconnect();
    else if (this.#loading || this.#state.status === "reconnecting" || isResting(this.#state))
      this.#closed({ status: "closed", reason: "disconnected" });
  }

  /** @internal The token function may be another user's now: it is asked, and another user's token is another session. */
  recheck(): void {
    if (this.#core === undefined || this.#state.status === "closed") return;
    this.#undecided = true;
    this.#giveToken();
  }

  /** @internal */
  get options(): ClientOptions {
    return this.#options;
  }

  /**
   * Joins a room now or as soon as there is a connection, and again after every loss. Each call gives a
   * handle of its own; the room is left when the last of them is. A refusal (also of a malformed name)
   * is told by the handle's state and by "error".
   */
  joinRoom(room: string, options: { snapshot?: boolean | undefined } = {}): RoomHandle<E> {
    const handle = this.#rooms.join(room, options.snapshot ?? true, this.#decided, this.#roomOwner);
    // Somebody wants something: a rest is over.
    if (isResting(this.#state)) this.connect().catch(() => {});
    return handle as RoomHandle<E>;
  }

  /** Ends every handle of the room, and so leaves it. */
  leaveRoom(room: string): void {
    const handles = this.#rooms.handles(room);
    for (const handle of handles) handle.leave();
    // One that the server joined us to.
    if (handles.length === 0 && this.#rooms.state(room) !== undefined) {
      this.#core?.leave(room);
      this.#rooms.forget(room);
    }
  }

  /** How a room stands; the same object until it changes, undefined for a room that nobody joined. */
  roomState(room: string): RoomState | undefined {
    return this.#rooms.state(room);
  }

  /** @internal The newest event of each key in a room; undefined for a room that nobody joined. */
  latest(room: string): Latest | undefined {
    return this.#rooms.get(room)?.latest;
  }

  /** @internal For who comes to a room after its snapshot: calls `listener` with the newest event of each key. */
  replay(room: string, listener: (event: RealtimeEvent<E>) => void): void {
    this.#rooms.replay(room, listener as (event: RealtimeEvent) => void);
  }

  /** Sends a message without waiting for an answer; a refusal is told by "error". Waits while offline. */
  send(type: string, payload?: object): void {
    this.#outgoing.send(type, payload);
  }

  /** Whether the server's policy lets this user do that in that room; false while it is not known. */
  can(room: string, action: Action): boolean {
    return this.#core?.can(text(room, "room"), action) ?? false;
  }

  /** Calls `changed` when `getSnapshot` has something new: a store for `useSyncExternalStore`. */
  readonly subscribe = (changed: () => void): Unsubscribe => {
    this.#readers.add(changed);
    return () => this.#readers.delete(changed);
  };

  /** State and rooms; the same object until one of them changes. */
  readonly getSnapshot = (): ClientSnapshot => {
    this.#snapshot ??= { state: this.#state, rooms: this.#rooms.states() };
    return this.#snapshot;
  };

  /** The core, once it is known that it is of the user whose requests these are. */
  get #decided(): Core | undefined {
    return this.#undecided ? undefined : this.#core;
  }

  #start(): void {
    const parts = this.#parts.ready(this.#options);
    if (parts === undefined) this.#loadParts();
    else this.#open(parts);
  }

  #loadParts(): void {
    const underWay = this.#loading;
    this.#loading = true;
    // Also where a load is under way: a `disconnect` may have been since.
    if (this.#state.status !== "connecting")
      this.#setState({ status: "connecting", attempt: this.#loads.attempt });
    if (underWay) return;
    this.#parts.load(this.#options).then(
      () => {
        this.#loading = false;
        this.#loads.reset();
        // Other options may have come meanwhile.
        if (this.#wanted) this.#start();
      },
      (cause) => {
        this.#loading = false;
        if (!this.#wanted) return;
        const again = () => this.#wanted && this.#core === undefined && this.#start();
        const [state, error] = this.#loads.failed(cause, this.#options.backoff ?? {}, again);
        if (state.status === "closed") {
          this.#closed(state, error);
        } else {
          this.#setState(state);
          this.#teller.attemptFailed(error);
        }
      },
    );
  }

  #open({ make, checks }: Ready): void {
    let core: Core;
    try {
      core = make(
        coreOptions(this.#options),
        dispatcher(this.#receivers, () => this.#core === core, checks),
      );
    } catch (cause) {
      const error = asError("bad_options", cause);
      this.#closed({ status: "closed", reason: error.message }, error);
      return;
    }
    this.#core = core;
    this.#teller.begins();
    core.fixToken(this.#holder.isText);
    this.#rooms.restore(core);
    this.#outgoing.drain(core);
    core.connect();
  }

  /** Gives the core up; the next one starts without session and positions. */
  #drop(otherUser: boolean): void {
    const core = this.#core;
    this.#core = undefined;
    this.#rooms.dropPositions();
    this.#tokenCall += 1;
    this.#undecided = false;
    this.#replies.refuse(
      new RealtimeError("disconnected", "the connection was replaced before the answer came"),
    );
    if (otherUser) {
      this.#holder.forget();
      this.#forgetSeen();
      this.#user = undefined;
    }
    core?.disconnect();
    // Not at once: this may be running inside of a call of that very core.
    setTimeout(() => core?.free(), 0);
  }

  #forgetSeen(): void {
    this.metrics.forget();
    this.#rooms.forgetSeen();
    this.presence.forget();
  }

  #stateChanged(state: ConnectionState): void {
    this.#rooms.follow(this.#core?.rooms() ?? []);
    if (state.status === "closed") {
      this.#closed(state);
      return;
    }
    const connected = state.status === "connected";
    const reason = state.status === "reconnecting" ? state.reason : "";
    if (connected) {
      this.#holder.taken();
      this.#teller.works();
    }
    const other = connected && this.#user !== undefined && this.#user !== state.userId;
    if (other || reason === "another user's token") {
      // Another user (or nobody) from here on, which only the server could tell: what the last one saw is not theirs to see.
      this.#forgetSeen();
      this.#holder.forget();
    }
    if (connected) this.#user = state.userId;
    this.#setState(state);
    if (connected && !this.#undecided) this.#connected.resolve();
    if (state.status !== "reconnecting") return;
    if (state.retryAtMs === undefined && state.code === 4001)
      this.#teller.textExpired(endOf(state, this.#options));
    // A token that can't be had is told by itself, and a page that is put aside has lost nothing.
    else if (!/^(no token|the page is away|connection lost|another)/.test(state.reason))
      this.#teller.attemptFailed(endOf(state, this.#options));
  }

  /** Answers in a microtask, never from within the core's call; only the newest answer counts. */
  #giveToken(): void {
    const call = ++this.#tokenCall;
    if (this.#holder.hasExpired) {
      queueMicrotask(() => call === this.#tokenCall && this.#core?.tokenExpired());
      return;
    }
    const anyText = (this.#options.WebSocket as { takesAnyToken?: boolean } | undefined)?.takesAnyToken;
    Promise.resolve()
      .then(() => (call === this.#tokenCall ? this.#holder.ask(anyText === true) : null))
      .then(
        (token) => call === this.#tokenCall && this.#take(token),
        (cause) => {
          if (call !== this.#tokenCall || this.#core === undefined) return;
          const message = messageOf(cause);
          // On a live connection the core asks again after a while.
          this.#core.tokenFailed(message);
          this.#teller.failed(new RealtimeError("token_failed", `no token: ${message}`, { cause }));
        },
      );
  }

  /** The source has answered. */
  #take(token: string | null): void {
    const holder = this.#holder;
    if (this.#over) return;
    if (holder.isOthers(token)) {
      this.#drop(true);
      holder.keep(token);
      this.#start();
      return;
    }
    const core = this.#core;
    if (core === undefined) return;
    const wasUndecided = this.#undecided;
    this.#undecided = false;
    // What the server has already is not handed over again: each time it would check every room.
    const known = this.#state.status === "connected" && !holder.isText && holder.has(token);
    holder.give(token);
    if (!known) core.setToken(token);
    if (!wasUndecided) return;
    this.#rooms.joinAll(core);
    this.#outgoing.drain(core);
    if (this.#state.status === "connected") this.#connected.resolve();
    else if (this.#state.status === "reconnecting") core.wake();
  }

  #roomChanged(state: RoomState): void {
    this.#changed();
    this.presence.room(state);
    this.metrics.room(state);
    this.#local.emit("room", state);
    if (state.status === "refused") this.#teller.failed(fromBody(state.error, { room: state.room }));
  }

  #closed(state: ConnectionState & { status: "closed" }, error?: RealtimeError): void {
    this.#wanted &&= isResting(state);
    this.#undecided = false;
    const why = error ?? endOf(state, this.#options);
    this.#outgoing.refuse(why);
    this.#setState(state);
    this.#connected.reject(why);
    if (!this.#over) this.#teller.failed(why, true);
    this.#retire(this.#core);
  }

  /** What has ended holds nothing: of its core nothing is left but how far the rooms were read. */
  #retire(core: Core | undefined): void {
    // Not at once: this may be running inside of a call of that very core, which has more to tell.
    setTimeout(() => {
      if (core === undefined || core !== this.#core || !hasEnded(this.#state)) return;
      this.#rooms.keepPositions(core);
      this.#core = undefined;
      core.free();
    }, 0);
  }

  #setState(state: ConnectionState): void {
    // The core's first attempt is the one that the load of the module began.
    if (state.status === "connecting" && this.#state.status === "connecting") return;
    this.#state = state;
    this.#changed();
    this.#local.emit("state", state);
  }

  #changed(): void {
    this.#snapshot = undefined;
    for (const changed of [...this.#readers]) {
      try {
        changed();
      } catch (thrown) {
        reportFailure(thrown);
      }
    }
  }
}
