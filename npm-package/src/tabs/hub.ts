/**
 * The leader's side: one connection to the server, spoken by as many cores as there are tabs.
 *
 * To each tab's core it is a server: it passes messages on, each with an id of its own, and answers to whom asked. Positions,
 * recovery, retries and their deadlines are the cores' own, and the server's: a tab that joins asks from where *it* stands.
 */
import type { Greeting, RoomJoined } from "../generated/protocol.js";
import { Mail } from "./mail.js";
import type { ClientFrame, FromLeader, ServerFrame, ToLeader } from "./messages.js";
import { type TabPosition, TabRooms } from "./rooms.js";
import { type RealSocket, Upstream } from "./upstream.js";

/** How long tabs may hear nothing while the server says something to others, in milliseconds; they count to 35 s (§8). */
const QUIET_MS = 10_000;
/**
 * How long a room stays joined after the last tab in it is gone, in milliseconds: a page that is loaded anew comes back, and
 * nobody need be told of it (§5, presence).
 */
const LINGER_MS = 5_000;
const ABNORMAL = 1006;
const UNAUTHORIZED = 4501;

/** What a hub needs of its tab. */
export interface HubHost {
  /** The tab's own id. */
  readonly id: string;
  /** Tells all tabs, this one too. */
  post(message: FromLeader): void;
  /** A new socket to the server. */
  open(): RealSocket;
  /** Calls `gone` when a tab is no more. Gives back what ends it. */
  watch(tab: string, gone: () => void): () => void;
  /** Lets the tab's own core try now, should it be waiting for its next attempt. */
  wake(): void;
  /** Whether the tab is seen. */
  visible(): boolean;
}

type Hello = ToLeader & { kind: "hello" };

interface Session {
  readonly hello: Hello;
  /** Whether it was greeted. */
  attached: boolean;
}

/** A message that was passed on and isn't answered. */
interface Asked {
  readonly socket: string;
  /** The tab's own id for it; none for what the hub asks on a tab's behalf. */
  readonly id: number | undefined;
  readonly type: string;
  readonly room: string | undefined;
}

/** See above. */
export class Hub {
  readonly #host: HubHost;
  readonly #sessions = new Map<string, Session>();
  readonly #watches = new Map<string, () => void>();
  readonly #asked = new Map<number, Asked>();
  readonly #rooms = new TabRooms();
  readonly #lingering = new Set<ReturnType<typeof setTimeout>>();
  #nextId = 1;
  #upstream: Upstream | undefined;
  /** Of the live connection, kept up to date. */
  #greeting: (Greeting & Record<string, unknown>) | undefined;
  /** The server goes away: who comes now waits for the next connection. */
  #draining = false;
  /** When all tabs were told something last. */
  #toldAt = 0;

  constructor(host: HubHost) {
    this.#host = host;
  }

  /** Takes in what a tab says. */
  take(message: ToLeader): void {
    if (message.kind === "hello") this.#hello(message);
    else if (message.kind === "bye") this.#end(message.socket, message.goodbye);
    else this.#frame(message.socket, message.frame);
  }

  /** Leads no more. With `goodbye` its tab is gone for good, and so is the user, if there is no other tab. */
  stop(goodbye: boolean): void {
    const others = [...this.#sessions.values()].some(({ hello }) => hello.from !== this.#host.id);
    this.#forgetConnection(goodbye && !others);
    this.#sessions.clear();
    for (const end of this.#watches.values()) end();
    this.#watches.clear();
  }

  #hello(hello: Hello): void {
    this.#host.post({ kind: "wait", leader: this.#host.id, to: [hello.socket] });
    if (this.#sessions.has(hello.socket)) return;
    const session: Session = { hello, attached: false };
    this.#sessions.set(hello.socket, session);
    const { from } = hello;
    const own = from === this.#host.id;
    if (!own && !this.#watches.has(from)) {
      this.#watches.set(
        from,
        this.#host.watch(from, () => this.#gone(from)),
      );
    }
    if (this.#greeting !== undefined && !this.#draining) this.#attach(session, this.#greeting);
    // Only with the token of this very tab; and only its core decides when, so that many tabs don't ask more often than one.
    else if (own) this.#connect(session);
    // But the timers of a hidden tab are slow, and somebody is looking at the other.
    else if (hello.visible && this.#upstream === undefined && !this.#host.visible()) this.#host.wake();
  }

  #connect(session: Session): void {
    this.#forgetConnection();
    const { socket, connect } = session.hello;
    let upstream: Upstream;
    try {
      upstream = new Upstream(this.#host.open(), {
        opened: () => {
          const id = this.#note({ socket, id: connect.id, type: "connect", room: undefined });
          upstream.send(JSON.stringify({ ...connect, id }), true);
        },
        text: (text) => this.#text(text),
        closed: (code, reason) => this.#lost(code, reason),
      });
    } catch {
      this.#lost(ABNORMAL, "no socket");
      return;
    }
    this.#upstream = upstream;
  }

  /** A tab joins the live connection. */
  #attach(session: Session, greeting: Greeting): void {
    const { socket, connect, awayMs } = session.hello;
    session.attached = true;
    const payload = connect.payload ?? {};
    const resumed = (payload.resume as { clientId?: string } | undefined)?.clientId === greeting.clientId;
    const { downtimeMs: _, ...data } = greeting as Greeting & { downtimeMs?: number };
    const positions = (payload.rooms ?? []) as TabPosition[];
    // Rooms that a greeting doesn't speak of are joined by the core one by one, from its positions.
    const rooms = positions.flatMap((position) => this.#rooms.adopt(socket, position) ?? []);
    this.#send([socket], {
      type: resumed ? "reconnected" : "connection_established",
      data: { ...data, rooms, ...(resumed && { downtimeMs: awayMs }) },
      timestamp: new Date().toISOString(),
      id: connect.id,
    });
    const own = greeting.rooms.map(({ room }) => room).filter((room) => isUsersOwn(room, greeting.userId));
    for (const room of own)
      if (!positions.some((position) => position.room === room))
        this.#pass(socket, { type: "join", payload: { room } });
  }

  #frame(socket: string, frame: ClientFrame): void {
    const session = this.#sessions.get(socket);
    if (!session?.attached) {
      this.#close([socket], ABNORMAL, "connection lost");
      return;
    }
    const room = frame.payload?.room as string;
    if (frame.type === "auth" && session.hello.from !== this.#host.id) {
      this.#vouch(session, frame);
    } else if (frame.type === "leave" && this.#rooms.has(room) && !this.#rooms.remove(room, socket)) {
      const data = { room, reason: "requested" };
      this.#send([socket], {
        type: "room_left",
        id: frame.id,
        room,
        data,
        timestamp: new Date().toISOString(),
      });
    } else {
      this.#pass(socket, frame);
    }
  }

  /** A newer token of another tab, which keeps it. It is the same user's, so the answer is known; ours may be due as well. */
  #vouch(session: Session, frame: ClientFrame): void {
    const { userId, role, expiresAt, policy, resume } = this.#greeting as Greeting & { expiresAt?: string };
    const data = { userId, role, expiresAt, policy, resume };
    const timestamp = new Date().toISOString();
    this.#send([session.hello.socket], { type: "authenticated", id: frame.id, data, timestamp });
    const newer = Number(frame.payload?.exp ?? 0) * 1000 > Date.parse(expiresAt ?? "");
    const own = [...this.#sessions].filter(([, { hello }]) => hello.from === this.#host.id);
    if (newer)
      this.#send(
        Array.from(own, ([key]) => key),
        { type: "token_expiring", data: { expiresAt }, timestamp },
      );
  }

  /** Passes a message of a tab on. */
  #pass(socket: string, frame: ClientFrame): void {
    const room = frame.payload?.room as string | undefined;
    if (frame.type === "join" && room !== undefined) this.#rooms.add(room, socket);
    const id = this.#note({ socket, id: frame.id, type: frame.type, room });
    this.#upstream?.send(JSON.stringify({ ...frame, id }), frame.type === "heartbeat");
  }

  #note(asked: Asked): number {
    const id = this.#nextId++;
    this.#asked.set(id, asked);
    return id;
  }

  /** The server said something. */
  #text(text: string): void {
    let frame: unknown;
    try {
      frame = JSON.parse(text);
    } catch {
      // The own core knows what to do about it.
      this.#host.post({ kind: "text", leader: this.#host.id, to: this.#owned(), text });
      return;
    }
    const mail = new Mail(text);
    for (const message of Array.isArray(frame) ? frame : [frame]) this.#route(message as ServerFrame, mail);
    mail.deliver((to, part) => this.#deliver(to, part));
    if (this.#greeting !== undefined && performance.now() - this.#toldAt > QUIET_MS) {
      this.#send(undefined, { type: "heartbeat", data: {}, timestamp: new Date().toISOString() });
    }
  }

  #route(message: ServerFrame, mail: Mail): void {
    if (typeof message.id === "number") {
      mail.changed();
      this.#answer(message, message.id, mail);
    } else if (typeof message.eventId === "string" && message.room !== undefined) {
      this.#add(mail, this.#rooms.receivers(message.room, message), message);
    } else if (message.type === "room_left") {
      this.#add(mail, this.#rooms.members(String(message.data?.room)), message);
      this.#rooms.drop(String(message.data?.room));
    } else if (message.type === "room_joined") {
      // The server's own doing, for the client that all tabs are.
      const result = message.data as unknown as RoomJoined;
      for (const socket of this.#attached()) this.#rooms.add(result.room, socket);
      this.#rooms.joined("", result);
      mail.add(undefined, message);
    } else if (
      message.type.startsWith("presence") ||
      (message.type === "error" && message.room !== undefined)
    ) {
      this.#add(mail, this.#rooms.members(String(message.data?.room ?? message.room)), message);
    } else {
      if (message.type === "draining") this.#draining = true;
      if (message.type === "heartbeat") this.#renew(message.data);
      mail.add(this.#greeting === undefined ? this.#owned() : undefined, message);
    }
  }

  /** What is for every tab is told to all: then nobody has to look for themselves in a list. */
  #add(mail: Mail, to: readonly string[], message: ServerFrame): void {
    const everyone = to.length === this.#attached().length;
    if (to.length === 0) mail.changed();
    else mail.add(everyone ? undefined : to, message);
  }

  #answer(message: ServerFrame, id: number, mail: Mail): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    this.#asked.delete(id);
    const { socket, room } = asked;
    if (asked.type === "connect") {
      this.#connected(message, asked, mail);
      return;
    }
    if (asked.type === "join" && room !== undefined) {
      if (message.type === "room_joined") {
        this.#rooms.joined(socket, message.data as unknown as RoomJoined);
      } else if (this.#rooms.remove(room, socket)) {
        // Refused to this tab; others may have left meanwhile, and the server still has us in it.
        this.#pass(socket, { type: "leave", payload: { room } });
      }
    }
    if (message.type === "authenticated") {
      this.#renew(message.data);
      const { rooms: _, ...data } = message.data ?? {};
      const others = this.#attached().filter((other) => other !== socket);
      if (others.length > 0) mail.add(others, { ...message, data, id: undefined });
    }
    // What a tab didn't ask for itself it is told as the server's own doing; a mere success of a send is not told at all.
    if (asked.id !== undefined || message.type === "room_joined" || message.type === "error") {
      mail.add([socket], { ...message, id: asked.id });
    }
  }

  #connected(message: ServerFrame, { socket, id }: Asked, mail: Mail): void {
    mail.add([socket], { ...message, id });
    const driver = this.#sessions.get(socket);
    if (message.type === "error" || driver === undefined) return;
    const greeting = message.data as unknown as Greeting & Record<string, unknown>;
    this.#greeting = greeting;
    this.#draining = false;
    this.#upstream?.limit(greeting.limits.messageRate, greeting.limits.messageBurst);
    driver.attached = true;
    for (const result of greeting.rooms) {
      if ("error" in result) continue;
      this.#rooms.add(result.room, socket);
      this.#rooms.joined(socket, result);
    }
    mail.deliver((to, text) => this.#deliver(to, text));
    for (const session of [...this.#sessions.values()])
      if (!session.attached) this.#attach(session, greeting);
    this.#host.post({ kind: "live", leader: this.#host.id });
  }

  /** Newer facts about the session. */
  #renew(data: Record<string, unknown> = {}): void {
    const { role, expiresAt, policy, resume } = data;
    const newer = Object.entries({ role, expiresAt, policy, resume }).filter(
      ([, value]) => value !== undefined,
    );
    if (this.#greeting !== undefined) Object.assign(this.#greeting, Object.fromEntries(newer));
  }

  /** The connection is gone: to every tab, as it is to us. */
  #lost(code: number, reason: string): void {
    this.#forgetConnection();
    // What the server had against our token is nothing that others have to give up for.
    const told = [...this.#sessions.values()].filter(
      (session) => code !== UNAUTHORIZED || session.hello.from === this.#host.id,
    );
    for (const { hello } of told) this.#sessions.delete(hello.socket);
    for (const session of this.#sessions.values()) session.attached = false;
    this.#close(
      told.map(({ hello }) => hello.socket),
      code,
      reason,
    );
  }

  #forgetConnection(goodbye = false): void {
    this.#upstream?.close(goodbye);
    this.#upstream = undefined;
    this.#greeting = undefined;
    this.#draining = false;
    this.#asked.clear();
    this.#rooms.clear();
    for (const timer of this.#lingering) clearTimeout(timer);
    this.#lingering.clear();
  }

  #gone(tab: string): void {
    this.#watches.delete(tab);
    for (const [socket, { hello }] of [...this.#sessions]) if (hello.from === tab) this.#end(socket, false);
  }

  /** A tab's core has closed its socket. */
  #end(socket: string, goodbye: boolean): void {
    const session = this.#sessions.get(socket);
    if (session === undefined || !this.#sessions.delete(socket)) return;
    if (session.hello.from === this.#host.id) {
      // Ours gave the connection up, and so it is none.
      this.#lost(ABNORMAL, "connection lost");
      return;
    }
    for (const room of this.#rooms.removeAll(socket)) {
      if (goodbye) {
        this.#pass(socket, { type: "leave", payload: { room } });
        continue;
      }
      const timer = setTimeout(() => {
        this.#lingering.delete(timer);
        if (!this.#rooms.has(room)) this.#pass(socket, { type: "leave", payload: { room } });
      }, LINGER_MS);
      this.#lingering.add(timer);
    }
  }

  #owned(): string[] {
    return [...this.#sessions].filter(([, { hello }]) => hello.from === this.#host.id).map(([key]) => key);
  }

  #attached(): string[] {
    return [...this.#sessions].filter(([, { attached }]) => attached).map(([key]) => key);
  }

  #send(to: readonly string[] | undefined, message: ServerFrame): void {
    this.#deliver(to, JSON.stringify(message));
  }

  #deliver(to: readonly string[] | undefined, text: string): void {
    if (to === undefined) this.#toldAt = performance.now();
    this.#host.post({ kind: "text", leader: this.#host.id, ...(to && { to }), text });
  }

  #close(to: readonly string[], code: number, reason: string): void {
    if (to.length > 0) this.#host.post({ kind: "closed", leader: this.#host.id, to, code, reason });
  }
}

/** Whether it is the room that the server joins for its user (§5). */
function isUsersOwn(room: string, userId: string | undefined): boolean {
  try {
    return userId !== undefined && room.startsWith("user:") && decodeURIComponent(room.slice(5)) === userId;
  } catch {
    return false;
  }
}
