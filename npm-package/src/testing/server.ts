/** The fake server: what a test makes happen, and what it can look at. */
import type {
  Action,
  DomainEventMap,
  EventFrame,
  MetricPoint,
  Metrics,
  MetricsGet,
  Publish,
  Published,
  Resume,
  ResumeGrant,
} from "../generated/protocol.js";
import { FakeConnection } from "./connection.js";
import { metricsIn } from "./metrics.js";
import { FakeRoom } from "./room.js";
import { FakeSocket } from "./socket.js";

/** Who a token stands for. */
export interface FakeUser {
  id: string;
  role?: string;
}

/** A message of a client (§3). */
export interface ReceivedFrame {
  type: string;
  payload: Record<string, unknown>;
  id?: string | number;
}

/** What a fake server can be told. */
export interface FakeServerOptions {
  /** Whose token it is; `undefined`: no good. By default every token is its user's id: `connect("ann")` is ann. */
  user?: ((token: string) => FakeUser | undefined) | undefined;
  /** Whether this may be done; by default everything may. */
  allow?: ((action: Action, room: string, user: FakeUser | undefined) => boolean) | undefined;
  /** Handles messages of your own types by name; what it gives is the answer. */
  handlers?: Record<string, (payload: Record<string, unknown>, client: FakeConnection) => object> | undefined;
  /** The points that `metrics:get` answers with, beside those of published `metric_update`s. */
  metrics?: MetricPoint[] | undefined;
}

/** Where each domain event goes, and what its newest is kept by (§4). */
const DOMAIN: {
  [K in keyof DomainEventMap]: {
    rooms(data: DomainEventMap[K]): string[];
    key?(data: DomainEventMap[K]): string;
  };
} = {
  metric_update: { rooms: () => ["dashboard:overview"], key: ({ metric }) => metric },
  agent_status_change: {
    rooms: ({ agentId }) => [`agent:${agentId}`, "dashboard:overview"],
    key: ({ agentId }) => agentId,
  },
  voice_clone_progress: {
    rooms: ({ userId }) => [`user:${encodeURIComponent(userId)}`, "voice:training"],
    key: ({ userId, jobId }) => `${userId} ${jobId ?? ""}`,
  },
  training_milestone: { rooms: ({ userId }) => ["voice:training", `user:${encodeURIComponent(userId)}`] },
  clip_played: { rooms: () => ["clips:analytics"], key: ({ clipId }) => clipId },
};

/** A server in memory, without a port and without timers. */
export class FakeServer {
  /** Give it to the client: `createClient({ url: server.url, WebSocket: server.WebSocket })`. */
  readonly WebSocket: typeof globalThis.WebSocket;
  /** An address that nobody else has; nothing listens there. */
  readonly url = "ws://fake.invalid/ws";
  /** Every message that came, in order. */
  readonly received: ReceivedFrame[] = [];
  readonly #options: FakeServerOptions;
  readonly #connections = new Map<FakeSocket, FakeConnection>();
  readonly #rooms = new Map<string, FakeRoom>();
  readonly #sessions = new Map<string, { token: string; userId: string | undefined }>();
  readonly #published = new Map<string, Published>();
  readonly #points: MetricPoint[];
  #waiting: { fits(frame: ReceivedFrame): boolean; resolve(frame: ReceivedFrame): void }[] = [];
  #greetings: ((connection: FakeConnection) => void)[] = [];
  #ids = 0;
  #underWay = 0;
  #epoch = 1;
  #down = false;

  constructor(options: FakeServerOptions = {}) {
    this.#options = options;
    this.#points = [...(options.metrics ?? [])];
    const end = {
      later: (run: () => void) => this.later(run),
      opened: (socket: FakeSocket) => this.#opened(socket),
      received: (socket: FakeSocket, text: string) => this.#connections.get(socket)?.received(text),
      closed: (socket: FakeSocket) => {
        this.#connections.get(socket)?.gone();
        this.#connections.delete(socket);
      },
    };
    class Socket extends FakeSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(end, url, protocols);
      }
    }
    this.WebSocket = Socket as unknown as typeof globalThis.WebSocket;
  }

  /** Clients that are connected. */
  get clients(): FakeConnection[] {
    return [...this.#connections.values()];
  }

  /** Who is in a room, by client id. */
  members(room: string): string[] {
    return [...this.room(room).members].map(({ clientId }) => clientId);
  }

  /** Resolves with the next client that is greeted. */
  connected(): Promise<FakeConnection> {
    return new Promise((resolve) => this.#greetings.push(resolve));
  }

  /** Resolves with a message of this type: one that came already, else the next. */
  message(type: string): Promise<ReceivedFrame> {
    const fits = (frame: ReceivedFrame) => frame.type === type;
    const known = this.received.find(fits);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => this.#waiting.push({ fits, resolve }));
  }

  /** Resolves when everything that is under way between server and clients has arrived. */
  async settled(): Promise<void> {
    // What arrives may make a client answer, some microtasks later.
    for (let quiet = 0; quiet < 10; quiet += 1) {
      await Promise.resolve();
      if (this.#underWay > 0) quiet = 0;
    }
  }

  /** Publishes a domain event into the rooms that its type names, as the backend would. */
  emit<K extends keyof DomainEventMap>(type: K, data: DomainEventMap[K]): EventFrame[] {
    const eventId = this.newId("event");
    return DOMAIN[type].rooms(data).map((room) => this.#store(room, type, data, eventId));
  }

  /** Publishes an event of any name into a room. `key`: the room keeps the newest event of it for its snapshot. */
  publish(room: string, type: string, data: object, { key }: { key?: string } = {}): EventFrame {
    return this.#store(room, type, data, this.newId("event"), key);
  }

  /** Ends every connection as a lost network does; clients come back by themselves. */
  dropConnections(): void {
    for (const client of this.clients) client.drop();
  }

  /** Closes every connection with a code of §6: 4000 to 4499 come back, 4500 to 4999 don't. */
  close(code: number, reason = ""): void {
    for (const client of this.clients) client.close(code, reason);
  }

  /** Nobody can connect until `comeBack`; whoever is connected is dropped. */
  goAway(): void {
    this.#down = true;
    this.dropConnections();
  }

  /** Ends `goAway`. With `forget` it is a restart that lost its streams: nothing is recovered. */
  comeBack({ forget = false }: { forget?: boolean } = {}): void {
    this.#down = false;
    if (!forget) return;
    this.#epoch += 1;
    for (const room of this.#rooms.values()) room.restart(`fake-${this.#epoch}`);
    this.#sessions.clear();
  }

  /** Tells every client that its token expires (§4). */
  expireTokens(expiresAt = new Date(Date.now() + 60_000)): void {
    for (const client of this.clients) {
      client.tell({ type: "token_expiring", data: { expiresAt: expiresAt.toISOString() } });
    }
  }

  /** Tells every client to reconnect after this time, and closes it then (§4). */
  drain(reconnectAfterMs = 0): void {
    for (const client of this.clients) {
      client.tell({ type: "draining", data: { reconnectAfterMs } });
      setTimeout(() => client.close(1012, "restart"), reconnectAfterMs);
    }
  }

  /** @internal */
  later(run: () => void): void {
    this.#underWay += 1;
    queueMicrotask(() => {
      this.#underWay -= 1;
      run();
    });
  }

  /** @internal */
  room(name: string): FakeRoom {
    const known = this.#rooms.get(name);
    if (known !== undefined) return known;
    const room = new FakeRoom(name, `fake-${this.#epoch}`);
    this.#rooms.set(name, room);
    return room;
  }

  /** @internal */
  newId(kind: string): string {
    this.#ids += 1;
    return `${kind}-${this.#ids}`;
  }

  /** @internal */
  userOf(token: string | undefined): FakeUser | undefined {
    if (token === undefined) return undefined;
    return this.#options.user === undefined ? { id: token } : this.#options.user(token);
  }

  /** @internal */
  allows(action: Action, room: string, user: FakeUser | undefined): boolean {
    return this.#options.allow?.(action, room, user) ?? true;
  }

  /** @internal */
  custom(type: string, payload: Record<string, unknown>, client: FakeConnection): object | undefined {
    return this.#options.handlers?.[type]?.(payload, client);
  }

  /** @internal */
  heard(frame: ReceivedFrame, _from: FakeConnection): void {
    this.received.push(frame);
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ fits }) => !fits(frame));
    for (const { fits, resolve } of waiting) if (fits(frame)) resolve(frame);
  }

  /** @internal */
  greeted(connection: FakeConnection): void {
    const waiting = this.#greetings;
    this.#greetings = [];
    for (const resolve of waiting) resolve(connection);
  }

  /** @internal */
  grant({ clientId, userId }: FakeConnection): ResumeGrant {
    const token = this.newId("resume");
    this.#sessions.set(clientId, { token, userId });
    return { token, expiresAt: new Date(Date.now() + 24 * 3_600_000).toISOString() };
  }

  /** @internal */
  resumes({ clientId, token }: Resume, { userId }: FakeConnection): boolean {
    const session = this.#sessions.get(clientId);
    if (session?.token !== token || session.userId !== userId) return false;
    // The newer of two connections stays (§4).
    for (const client of this.clients) if (client.clientId === clientId) client.close(4004, "no_heartbeat");
    return true;
  }

  /** @internal A client publishes. */
  take(
    { room, type, data, idempotencyKey, ephemeral }: Publish,
    { user, clientId }: FakeConnection,
  ): Published {
    const key =
      idempotencyKey === undefined ? undefined : `${user?.id ?? clientId} ${room} ${idempotencyKey}`;
    const before = key === undefined ? undefined : this.#published.get(key);
    if (before !== undefined) return before;
    const { offset, eventId } = this.#store(room, type, data, this.newId("event"), undefined, ephemeral);
    const published: Published = {
      room,
      ...(offset === undefined ? {} : { offset }),
      epoch: this.room(room).epoch,
      eventId,
    };
    if (key !== undefined) this.#published.set(key, published);
    return published;
  }

  /** @internal */
  metricsOf(get: MetricsGet): Metrics {
    return metricsIn(this.#points, get);
  }

  #store(
    room: string,
    type: string,
    data: object,
    eventId: string,
    key?: string,
    ephemeral = false,
  ): EventFrame {
    const domain = Object.hasOwn(DOMAIN, type) ? DOMAIN[type as keyof DomainEventMap] : undefined;
    const own = key ?? (domain?.key as ((data: object) => string) | undefined)?.(data);
    const timestamp = new Date().toISOString();
    if (type === "metric_update" && room === "dashboard:overview") {
      const { metric, values } = data as DomainEventMap["metric_update"];
      this.#points.push({ metric, timestamp, values });
    }
    const event = { type, data: data as Record<string, unknown>, eventId, timestamp };
    return this.room(room).publish(event, own, ephemeral);
  }

  #opened(socket: FakeSocket): void {
    if (this.#down) {
      socket.end(1006, "");
      return;
    }
    socket.open(socket.offered.includes("osbackend.v1") ? "osbackend.v1" : "");
    this.#connections.set(socket, new FakeConnection(this, socket));
  }
}

/** A fake server for one test; there is nothing to stop. */
export function createFakeServer(options?: FakeServerOptions): FakeServer {
  return new FakeServer(options);
}
