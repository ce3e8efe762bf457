/** One client of the fake server: its messages (§3) are answered as the contract says. */
import type {
  Connect,
  Greeting,
  History,
  HistoryGet,
  Join,
  MetricsGet,
  Presence,
  Publish,
  RoomResult,
} from "../generated/protocol.js";
import { Refusal } from "./refusal.js";
import type { Member } from "./room.js";
import type { FakeServer, FakeUser, ReceivedFrame } from "./server.js";
import type { FakeSocket } from "./socket.js";

const now = () => new Date().toISOString();
const ROOM = /^[a-z][a-z0-9_-]{0,31}:[A-Za-z0-9\-_.@|+=~%]{1,128}$/;

/** See the module. */
export class FakeConnection implements Member {
  clientId = "";
  user: FakeUser | undefined;
  readonly rooms = new Set<string>();
  readonly #server: FakeServer;
  readonly #socket: FakeSocket;
  #greeted = false;
  #waiting: object[] = [];

  /** @internal */
  constructor(server: FakeServer, socket: FakeSocket) {
    this.#server = server;
    this.#socket = socket;
    // A plain client (§1): the server speaks first.
    if (socket.protocol === "") this.#greet({ protocol: 1 });
  }

  /** The user, by the token. */
  get userId(): string | undefined {
    return this.user?.id;
  }

  /** Sends a message; what is sent in one go is one frame. */
  tell(frame: object): void {
    if (this.#waiting.length === 0) this.#server.later(() => this.#flush());
    this.#waiting.push({ timestamp: now(), ...frame });
  }

  /** Closes with a code of §6. */
  close(code: number, reason = ""): void {
    this.#flush();
    this.#server.later(() => this.#socket.end(code, reason));
  }

  /** Ends it as a lost network does. */
  drop(): void {
    this.#socket.end(1006, "");
  }

  #flush(): void {
    const frames = this.#waiting;
    this.#waiting = [];
    if (frames.length > 0) this.#socket.deliver(JSON.stringify(frames.length === 1 ? frames[0] : frames));
  }

  /** @internal A frame came. */
  received(text: string): void {
    let frames: unknown[];
    try {
      frames = [JSON.parse(text)].flat();
    } catch {
      frames = [undefined];
    }
    for (const frame of frames) this.#handle(frame);
  }

  /** @internal The socket is gone. */
  gone(): void {
    for (const room of [...this.rooms]) this.leave(room);
  }

  /** Takes it out of a room. */
  leave(room: string): void {
    this.rooms.delete(room);
    const { userId } = this;
    const stream = this.#server.room(room);
    stream.members.delete(this);
    if (userId !== undefined && !stream.has(userId)) this.#tellOthers("presence_leave", room, userId);
  }

  #tellOthers(type: string, room: string, userId: string): void {
    for (const member of this.#server.room(room).members) {
      if (member !== this) member.tell({ type, data: { room, userId }, room });
    }
  }

  #handle(given: unknown): void {
    const frame = given as Partial<ReceivedFrame> | undefined;
    const id = frame?.id;
    try {
      if (typeof frame !== "object" || frame === null || typeof frame.type !== "string") {
        throw new Refusal("bad_request", "a message is a JSON object with a `type`");
      }
      const { type, payload } = frame as ReceivedFrame;
      this.#server.heard({ type, payload: payload ?? {}, ...(id === undefined ? {} : { id }) }, this);
      this.#answer({ type, payload: payload ?? {}, ...(id === undefined ? {} : { id }) });
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      const { code, message, room } = thrown;
      this.tell({
        type: "error",
        data: { code, message, ...(room === undefined ? {} : { room }) },
        ...(room === undefined ? {} : { room }),
        ...(id === undefined ? {} : { id }),
      });
    }
  }

  #answer({ type, payload, id }: ReceivedFrame): void {
    const reply = (kind: string, data: object, room?: string) =>
      this.tell({
        type: kind,
        data,
        ...(room === undefined ? {} : { room }),
        ...(id === undefined ? {} : { id }),
      });
    if (!this.#greeted) {
      if (type !== "connect") throw new Refusal("unauthorized", "say `connect` first");
      this.#greet(payload as unknown as Connect, id);
      return;
    }
    switch (type) {
      case "auth":
        this.#auth(payload as { token?: string }, reply);
        break;
      case "join": {
        const { room, snapshot = true, ...position } = payload as unknown as Join;
        const { result, events } = this.#join(room, position, snapshot);
        reply("room_joined", result, room);
        for (const event of events) this.tell(event);
        break;
      }
      case "leave": {
        const room = this.#joined(payload.room);
        this.leave(room);
        reply("room_left", { room, reason: "requested" }, room);
        break;
      }
      case "publish": {
        const publish = payload as unknown as Publish;
        const room = this.#allowed("publish", publish.room);
        reply("published", this.#server.take(publish, this), room);
        break;
      }
      case "presence:get": {
        const room = this.#allowed("presence", payload.room);
        const stream = this.#server.room(room);
        const presence: Presence = { room, users: stream.users(), anonymous: stream.anonymous };
        reply("presence", presence, room);
        break;
      }
      case "history:get": {
        const asked = payload as unknown as HistoryGet;
        const room = this.#allowed("history", asked.room);
        reply("history", this.#history(asked), room);
        break;
      }
      case "metrics:get":
        reply("metrics", this.#server.metricsOf(payload as MetricsGet));
        break;
      case "heartbeat":
        reply("heartbeat", { serverTime: now() });
        break;
      default: {
        const answer = this.#server.custom(type, payload, this);
        if (answer === undefined)
          throw new Refusal("unknown_type", `nothing here handles ${JSON.stringify(type)}`);
        reply(type, answer);
        break;
      }
    }
  }

  #greet(connect: Connect, id?: ReceivedFrame["id"]): void {
    const { token, resume, rooms = [] } = connect;
    const user = this.#server.userOf(token);
    if (token !== undefined && user === undefined) {
      this.tell({
        type: "error",
        data: { code: "unauthorized", message: "the fake server knows no such token" },
      });
      this.close(4501, "unauthorized");
      return;
    }
    this.#greeted = true;
    this.user = user;
    const resumed = resume !== undefined && this.#server.resumes(resume, this);
    this.clientId = resumed ? (resume?.clientId ?? "") : this.#server.newId("client");
    const results: RoomResult[] = [];
    const replays: object[] = [];
    const own = user === undefined ? [] : [`user:${encodeURIComponent(user.id)}`];
    const asked = rooms.map(({ room, ...position }) => ({ room, position }));
    const all = [
      ...asked,
      ...own
        .filter((room) => !rooms.some((one) => one.room === room))
        .map((room) => ({ room, position: {} })),
    ];
    for (const { room, position } of all) {
      try {
        const { result, events } = this.#join(room, position, true);
        results.push(result);
        replays.push(...events);
      } catch (thrown) {
        if (!(thrown instanceof Refusal)) throw thrown;
        results.push({ room, error: { code: thrown.code, message: thrown.message } });
      }
    }
    const greeting: Greeting = {
      clientId: this.clientId,
      authenticated: user !== undefined,
      ...(user === undefined ? {} : { userId: user.id, role: user.role ?? "user" }),
      protocol: 1,
      schema: connect.schema ?? "fake",
      heartbeatIntervalMs: 25_000,
      limits: {
        maxMessageBytes: 65_536,
        maxRooms: 100,
        messageRate: 50,
        messageBurst: 100,
        joinRate: 20,
        joinBurst: 100,
      },
      resume: this.#server.grant(this),
      rooms: results,
      policy: { rules: [{ rooms: ["*"], can: ["join", "publish", "presence", "history"] }] },
      ...(resumed ? { downtimeMs: 0 } : {}),
    };
    const type = resumed ? "reconnected" : "connection_established";
    this.tell({ type, data: greeting, ...(id === undefined ? {} : { id }) });
    for (const event of replays) this.tell(event);
    this.#server.greeted(this);
  }

  #auth({ token }: { token?: string }, reply: (kind: string, data: object) => void): void {
    const user = this.#server.userOf(token);
    if (token === undefined || user === undefined)
      throw new Refusal("unauthorized", "the fake server knows no such token");
    if (this.user !== undefined && this.user.id !== user.id)
      throw new Refusal("forbidden", "another user's token");
    this.user = user;
    reply("authenticated", {
      userId: user.id,
      role: user.role ?? "user",
      expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
      resume: this.#server.grant(this),
    });
  }

  #join(room: string, position: { epoch?: string; offset?: number }, snapshot: boolean) {
    this.#allowed("join", room);
    const stream = this.#server.room(room);
    const { userId } = this;
    const news = userId !== undefined && !stream.has(userId);
    this.rooms.add(room);
    const joined = stream.join(this, position, snapshot);
    if (news) this.#tellOthers("presence_join", room, userId);
    return joined;
  }

  #history({ room, since, limit = 100, reverse = false }: HistoryGet): History {
    const { epoch, offset, history } = this.#server.room(room);
    const events = reverse
      ? history.filter((event) => since === undefined || (event.offset ?? 0) < since).reverse()
      : history.filter((event) => (event.offset ?? 0) > (since ?? 0));
    const page = events.slice(0, limit);
    return { room, epoch, offset, events: page, ...(page.length < events.length && { more: true }) };
  }

  #joined(room: unknown): string {
    if (typeof room !== "string" || !this.rooms.has(room)) {
      throw new Refusal(
        "not_joined",
        "this room was not joined",
        typeof room === "string" ? room : undefined,
      );
    }
    return room;
  }

  #allowed(action: "join" | "publish" | "presence" | "history", room: unknown): string {
    if (typeof room !== "string" || !ROOM.test(room)) {
      throw new Refusal(
        "bad_request",
        "room: a room is `prefix:id`",
        typeof room === "string" ? room : undefined,
      );
    }
    if (!this.#server.allows(action, room, this.user)) {
      throw new Refusal("forbidden", `the test lets nobody ${action} ${room}`, room);
    }
    return room;
  }
}
