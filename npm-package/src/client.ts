/** The client: one connection, its rooms and its listeners, as the application sees them. */
import { type Core, type CoreFactory, type Sink, text } from "./core.js";
import { EarlyCalls } from "./early.js";
import { type Call, Emitter } from "./emitter.js";
import { fromBody, messageOf, RealtimeError } from "./errors.js";
import { isLocal, type ProtocolError, type RealtimeEvent, type Remove, type Subscribe } from "./events.js";
import type { Action, Publish, Published } from "./generated/protocol.js";
import { type Inspectable, newest, watched } from "./inspect.js";
import { keyed } from "./keyed.js";
import type { Latest } from "./latest.js";
import { MetricStore } from "./metrics.js";
import { coreOptions, sameOptions } from "./options.js";
import { Parts, type Ready } from "./parts.js";
import { PresenceStore } from "./presence.js";
import { Replies } from "./replies.js";
import { reportFailure, reportUnheard } from "./report.js";
import type { Emit, Request, RequestOptions } from "./requests.js";
import type { AnyRoom, PublishOptions, RoomHandle, RoomOwner } from "./room.js";
import { Rooms } from "./rooms.js";
import { changesUser } from "./token.js";
import type {
  ClientOptions,
  ClientSnapshot,
  ConnectionState,
  RoomState,
  TokenSource,
  Unsubscribe,
} from "./types.js";
import { Waiter } from "./waiter.js";

const QUEUE_LIMIT = 256;
const PUBLISH_TIMEOUT_MS = 60_000;
const REQUEST_TIMEOUT_MS = 10_000;

/** One connection to a server. Nothing is touched before `connect`: making one is safe on a server. */
export class RealtimeClient<E = unknown> {
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
  readonly #wire = new Emitter((thrown, name) => this.#listenerFailed(thrown, name));
  readonly #local = new Emitter((thrown, name) => this.#listenerFailed(thrown, name));
  readonly #rooms: Rooms;
  readonly #early = new EarlyCalls();
  readonly #replies = new Replies();
  readonly #connected = new Waiter();
  readonly #readers = new Set<() => void>();
  readonly #roomOwner: RoomOwner;
  #options: ClientOptions;
  #token: TokenSource = null;
  #tokenCall = 0;
  /** Ends what follows the source of tokens. */
  #unfollow: Unsubscribe | undefined;
  #user: string | undefined;
  #core: Core | undefined;
  #loading = false;
  /** Between `connect` and whatever closes the connection for good. */
  #wanted = false;
  #state: ConnectionState = { status: "idle" };
  #snapshot: ClientSnapshot | undefined;

  /** @internal Use `createClient`. */
  constructor(options: NoInfer<ClientOptions<E>>, load: () => Promise<CoreFactory>) {
    // Within, data is what it is: nothing here looks at an event's own type.
    this.#defaults = options as ClientOptions;
    this.#options = this.#defaults;
    this.#parts = new Parts(() => load().then((factory) => watched(factory, this.seen)));
    this.#rooms = new Rooms(
      (thrown, name) => this.#listenerFailed(thrown, name),
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
    this.#roomOwner = {
      roomState: (room) => this.roomState(room),
      can: (room, action) => this.can(room, action),
      presence: (room) => this.presence.get(room),
      publish: (room, type, data, options) => this.#publish(room, type, data, options),
      release: (handle) => this.#release(handle),
    };
    const emitter = (name: string) => (isLocal(name) ? this.#local : this.#wire);
    this.on = ((name: string, call: unknown) => emitter(name).on(name, call as Call)) as Subscribe<E>;
    this.once = ((name: string, call: unknown) => emitter(name).on(name, call as Call, true)) as Subscribe<E>;
    this.off = ((name: string, call: unknown) => emitter(name).off(name, call as Call)) as Remove<E>;
    this.request = ((type: string, payload?: unknown, options?: RequestOptions) =>
      this.#request(type, payload, options)) as Request;
    this.emit = ((room: string, type: string, data: unknown, options?: PublishOptions) =>
      this.#publish(room, type, data, options)) as Emit<E>;
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
   * call before. Resolves when first connected; rejects with a `RealtimeError` when closed before that
   * (the state tells it too, so the promise may be ignored). On a live connection a fresh token of the
   * same user is taken over in place; another user's token, or other options, make a new connection.
   */
  connect(token?: TokenSource, options?: ClientOptions<E>): Promise<void> {
    const tokenBefore = this.#token;
    const optionsBefore = this.#options;
    if (token !== undefined) {
      if (token !== tokenBefore) this.#unfollow?.();
      this.#token = token;
      if (typeof token === "function") this.#unfollow = token.follow?.(this);
    }
    if (options !== undefined) this.#options = { ...this.#defaults, ...(options as ClientOptions) };
    this.#wanted = true;
    newest.client = this;
    newest.connected?.(this);
    const connected = this.#connected.promise();
    if (this.#core !== undefined) {
      const otherUser = changesUser(tokenBefore, this.#token);
      if (otherUser || !sameOptions(optionsBefore, this.#options)) this.#drop(otherUser);
    }
    if (this.#core !== undefined) {
      // A provider is only taken over: it is asked when there is need.
      if (typeof this.#token === "string" && this.#token !== tokenBefore) this.#giveToken();
      if (this.#state.status === "connected") this.#connected.resolve();
      else this.#core.connect();
    } else {
      this.#start();
    }
    return connected;
  }

  /** Closes for good; rooms and listeners stay and serve the next `connect`. */
  disconnect(): void {
    this.#unfollow?.();
    this.#wanted = false;
    if (this.#core !== undefined) this.#core.disconnect();
    else if (this.#loading) this.#closed({ status: "closed", reason: "disconnected" });
  }

  /**
   * Joins a room now or as soon as there is a connection, and again after every loss. Each call gives a
   * handle of its own; the room is left when the last of them is. A refusal (also of a malformed name)
   * is told by the handle's state and by "error".
   */
  joinRoom(room: string, options: { snapshot?: boolean | undefined } = {}): RoomHandle<E> {
    return this.#rooms.join(room, options.snapshot ?? true, this.#core, this.#roomOwner) as RoomHandle<E>;
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
    for (const event of this.latest(room)?.events() ?? []) {
      try {
        listener(event as RealtimeEvent<E>);
      } catch (thrown) {
        this.#listenerFailed(thrown, "*");
      }
    }
  }

  /** Sends a message without waiting for an answer; a refusal is told by "error". Waits while offline. */
  send(type: string, payload?: object): void {
    if (this.#core !== undefined) {
      this.#core.send(text(type, "type"), payload);
      return;
    }
    const refuse = (error: RealtimeError) => this.#failed(fromBody(error, { messageType: type }));
    const pass = (core: Core) => {
      try {
        core.send(text(type, "type"), payload);
      } catch (cause) {
        // What JSON can't hold. Its sender is long gone, and those behind it in the queue must not suffer.
        refuse(new RealtimeError("bad_request", messageOf(cause), { cause }));
      }
    };
    this.#early.add({ pass, refuse }, this.#options.queueLimit ?? QUEUE_LIMIT, 0);
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

  #start(): void {
    const parts = this.#parts.ready(this.#options);
    if (parts === undefined) this.#loadParts();
    else this.#open(parts);
  }

  #loadParts(): void {
    const underWay = this.#loading;
    this.#loading = true;
    // Also where a load is under way: a `disconnect` may have been since.
    if (this.#state.status !== "connecting") this.#setState({ status: "connecting", attempt: 1 });
    if (underWay) return;
    this.#parts.load(this.#options).then(
      () => {
        this.#loading = false;
        // Other options may have come meanwhile.
        if (this.#wanted) this.#start();
      },
      (cause) => {
        this.#loading = false;
        if (!this.#wanted) return;
        const reason = `the client's modules could not be loaded: ${messageOf(cause)}`;
        this.#closed({ status: "closed", reason }, new RealtimeError("load_failed", reason, { cause }));
      },
    );
  }

  #open({ make, checks }: Ready): void {
    let core: Core;
    try {
      const options = coreOptions(this.#options);
      // A core that was replaced may still have something to tell: not to us.
      const sink = this.#sink(() => this.#core === core, checks);
      core = make(options, sink);
    } catch (cause) {
      const error =
        cause instanceof RealtimeError
          ? cause
          : new RealtimeError("bad_options", messageOf(cause), { cause });
      this.#closed({ status: "closed", reason: error.message }, error);
      return;
    }
    this.#core = core;
    this.#rooms.restore(core);
    this.#early.drain(core);
    core.connect();
  }

  /** Gives the core up; the next one starts without session and positions. */
  #drop(otherUser: boolean): void {
    const core = this.#core;
    this.#core = undefined;
    this.#tokenCall += 1;
    this.#replies.refuse(
      new RealtimeError("disconnected", "the connection was replaced before the answer came"),
    );
    if (otherUser) {
      this.#forgetSeen();
      this.#user = undefined;
    }
    core?.disconnect();
    // Not at once: this may be running inside of a call of that very core.
    setTimeout(() => core?.free(), 0);
  }

  #forgetSeen(): void {
    this.metrics.forget();
    this.#rooms.forgetLatest();
    this.presence.forget();
  }

  #sink(current: () => boolean, checks: Ready["checks"]): Sink {
    const ifCurrent =
      <A extends unknown[]>(call: (...args: A) => void) =>
      (...args: A) => {
        if (current()) call(...args);
      };
    return {
      needToken: ifCurrent(() => this.#giveToken()),
      state: ifCurrent((state) => this.#stateChanged(state)),
      // The hot path: no closure, no object, no rest parameter for an event.
      event: (frame, first) => {
        if (!current()) return;
        if (checks !== undefined) {
          const bad = checks.judge(frame, this.#options.validators);
          if (bad !== undefined) {
            if (first) this.#kept(bad, checks);
            this.#rooms.get(frame.room)?.latest.pass(frame);
            return;
          }
        }
        if (first) {
          if (frame.type === "metric_update") this.metrics.update(frame);
          this.#wire.emit(frame.type, frame.data, frame);
          this.#local.emit("*", frame);
        }
        const room = this.#rooms.get(frame.room);
        if (room === undefined) return;
        room.latest.keep(frame);
        if (!isLocal(frame.type)) room.emitter.emit(frame.type, frame.data, frame);
        room.emitter.emit("*", frame);
      },
      system: ifCurrent((frame) => {
        if (frame.type === "error") return this.#failed(fromBody(frame.data, { room: frame.room }));
        if (frame.type.startsWith("presence")) this.presence.take(frame.type, frame.data, frame.timestamp);
        this.#wire.emit(frame.type, frame.data, frame);
        if (frame.room !== undefined && !isLocal(frame.type)) {
          this.#rooms.get(frame.room)?.emitter.emit(frame.type, frame.data, frame);
        }
      }),
      room: ifCurrent((state) => this.#rooms.update(state)),
      reply: ifCurrent((id, ok, value) => this.#replies.settle(id, ok, value)),
      sendRefused: ifCurrent((type, _payload, error) => this.#failed(fromBody(error, { messageType: type }))),
    };
  }

  #stateChanged(state: ConnectionState): void {
    this.#rooms.follow(this.#core?.rooms() ?? []);
    if (state.status === "closed") {
      this.#closed(state);
      return;
    }
    if (state.status === "connected") {
      // Another user (or nobody) from here on: what the last one saw is not theirs to see.
      if (this.#user !== undefined && this.#user !== state.userId) this.#forgetSeen();
      this.#user = state.userId;
    }
    this.#setState(state);
    if (state.status === "connected") this.#connected.resolve();
  }

  /** Answers in a microtask, never from within the core's call; only the newest answer counts. */
  #giveToken(): void {
    const call = ++this.#tokenCall;
    const source = this.#token;
    Promise.resolve()
      .then(() => (typeof source === "function" ? source() : source))
      .then((token) => (token ? text(token, "the token") : null))
      .then(
        (token) => call === this.#tokenCall && this.#core?.setToken(token),
        (cause) => {
          if (call !== this.#tokenCall || this.#core === undefined) return;
          const message = messageOf(cause);
          this.#core.tokenFailed(message);
          this.#failed(new RealtimeError("token_failed", `no token: ${message}`, { cause }));
        },
      );
  }

  #request(type: string, given: unknown, { timeoutMs }: RequestOptions = {}): Promise<unknown> {
    // A publish settles once: with its key the core may send it again after a lost connection.
    const publish = type === "publish";
    const payload = publish ? keyed(given) : given;
    const retry = publish && (given as Partial<Publish> | undefined)?.ephemeral !== true;
    return new Promise((resolve, reject) => {
      const promise = { resolve, reject };
      const ask = (core: Core, ms?: number) => this.#replies.ask(core, type, payload, ms, promise, retry);
      if (this.#core !== undefined) return ask(this.#core, timeoutMs);
      const { requestTimeoutMs = REQUEST_TIMEOUT_MS, publishTimeoutMs = PUBLISH_TIMEOUT_MS } = this.#options;
      const total = timeoutMs ?? (retry ? publishTimeoutMs : requestTimeoutMs);
      const asked = Date.now();
      const pass = (core: Core) => ask(core, Math.max(1, total - (Date.now() - asked)));
      this.#early.add({ pass, refuse: reject }, this.#options.queueLimit ?? QUEUE_LIMIT, total);
    });
  }

  #publish(
    room: string,
    type: string,
    data: unknown,
    { timeoutMs, ...options }: PublishOptions = {},
  ): Promise<Published> {
    const payload = { room, type, data, ...options };
    return this.#request("publish", payload, { timeoutMs } as RequestOptions) as Promise<Published>;
  }

  #release(handle: AnyRoom): void {
    if (this.#rooms.release(handle, this.#core)) this.metrics.forget(handle.name);
  }

  #roomChanged(state: RoomState): void {
    this.#changed();
    this.presence.room(state);
    this.#local.emit("room", state);
    if (state.status === "refused") this.#failed(fromBody(state.error, { room: state.room }));
  }

  #closed(state: ConnectionState & { status: "closed" }, error?: RealtimeError): void {
    this.#wanted = false;
    const code = /^[a-z_]+$/.test(state.reason) ? state.reason : "closed";
    const why = error ?? new RealtimeError(code, `closed: ${state.reason}`, { closeCode: state.code });
    this.#early.refuse(why);
    this.#setState(state);
    this.#connected.reject(why);
  }

  #setState(state: ConnectionState): void {
    // The core's first attempt is the one that the load of the module began.
    const before = this.#state;
    if (state.status === "connecting" && before.status === "connecting" && state.attempt === before.attempt)
      return;
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

  #failed(error: RealtimeError): void {
    if (this.#local.has("error")) this.#local.emit("error", error);
    else reportUnheard(error);
  }

  /** An event is kept from listeners; its offset counts all the same, so nothing is asked for again. */
  #kept(bad: ProtocolError, checks: NonNullable<Ready["checks"]>): void {
    if (this.#local.has("protocol_error")) this.#local.emit("protocol_error", bad);
    else checks.report(bad);
  }

  #listenerFailed(thrown: unknown, name: string): void {
    // A listener of "error" that throws must not be told of itself.
    if (name === "error" || !this.#local.has("error")) {
      reportFailure(thrown);
      return;
    }
    const message = `a listener of "${name}" threw: ${messageOf(thrown)}`;
    this.#local.emit("error", new RealtimeError("listener_failed", message, { cause: thrown }));
  }
}
