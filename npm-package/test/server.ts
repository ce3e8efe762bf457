/** A server that speaks the protocol by script, over real sockets on a free port. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import type { Connect, EventFrame, Greeting, RoomJoined } from "../src/generated/protocol.js";
import { SUBPROTOCOL } from "../src/generated/protocol.js";

export interface ClientFrame {
  type: string;
  payload?: Record<string, unknown>;
  id?: string | number;
}

export interface Accepted {
  socket: WebSocket;
  subprotocol: string;
  connect: ClientFrame & { payload: Connect & Record<string, unknown> };
  /** Everything after `connect`. */
  frames: ClientFrame[];
  send(...frames: object[]): void;
  /** The next frame of this type, now or later. */
  next(type: string): Promise<ClientFrame>;
}

const now = () => new Date().toISOString();

/** How the script answers; a test replaces what it is about. */
export interface Script {
  greeting?(connect: Connect): Partial<Greeting>;
  joined?(room: string): Partial<RoomJoined>;
  /** Answers any other frame with an `id`. */
  answer?(frame: ClientFrame): object | undefined;
  /** In place of the greeting. */
  refuse?: { code: number; reason: string };
}

export class ScriptedServer {
  readonly connections: Accepted[] = [];
  script: Script = {};
  #server: WebSocketServer;
  #waiting: ((accepted: Accepted) => void)[] = [];

  private constructor(server: WebSocketServer) {
    this.#server = server;
    server.on("connection", (socket, request) =>
      this.#accept(socket, request.headers["sec-websocket-protocol"] ?? ""),
    );
  }

  static async start(): Promise<ScriptedServer> {
    const server = new WebSocketServer({
      host: "127.0.0.1",
      port: 0,
      handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    });
    await once(server, "listening");
    return new ScriptedServer(server);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ws`;
  }

  /** The next connection that says `connect`. */
  accepted(): Promise<Accepted> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  stop(): void {
    for (const socket of this.#server.clients) socket.terminate();
    this.#server.close();
  }

  #accept(socket: WebSocket, subprotocol: string): void {
    let accepted: Accepted | undefined;
    const waiting: [type: string, resolve: (frame: ClientFrame) => void][] = [];
    const send = (...frames: object[]) => {
      const full = frames.map((frame) => ({ timestamp: now(), ...frame }));
      socket.send(JSON.stringify(full.length === 1 ? full[0] : full));
    };
    const take = (frame: ClientFrame) => {
      if (accepted === undefined) {
        accepted = {
          socket,
          subprotocol,
          connect: frame as Accepted["connect"],
          frames: [],
          send,
          next: (type) =>
            new Promise((resolve) => {
              const known = accepted?.frames.find((other) => other.type === type);
              if (known === undefined) waiting.push([type, resolve]);
              else resolve(known);
            }),
        };
        this.connections.push(accepted);
        if (this.script.refuse === undefined) send(this.#greeting(accepted.connect));
        else socket.close(this.script.refuse.code, this.script.refuse.reason);
        this.#waiting.shift()?.(accepted);
        return;
      }
      accepted.frames.push(frame);
      for (const [type, resolve] of waiting) if (type === frame.type) resolve(frame);
      this.#answer(frame, send);
    };
    socket.on("message", (data: RawData) => {
      const message = JSON.parse(data.toString()) as ClientFrame | ClientFrame[];
      for (const frame of [message].flat()) take(frame);
    });
  }

  #greeting(connect: Accepted["connect"]): object {
    const { payload } = connect;
    const greeting: Greeting = {
      clientId: payload.resume?.clientId ?? "client-1",
      authenticated: payload.token !== undefined,
      ...(payload.token === undefined ? {} : { userId: "ann", role: "user" }),
      protocol: 1,
      schema: "test",
      heartbeatIntervalMs: 25_000,
      limits: {
        maxMessageBytes: 65_536,
        maxRooms: 100,
        messageRate: 50,
        messageBurst: 100,
        joinRate: 20,
        joinBurst: 100,
      },
      resume: { token: "resume-1", expiresAt: now() },
      rooms: (payload.rooms ?? []).map(({ room, offset }) => this.#joined(room, offset)),
      ...(payload.resume === undefined ? {} : { downtimeMs: 12 }),
      ...this.script.greeting?.(payload),
    };
    const type = payload.resume === undefined ? "connection_established" : "reconnected";
    return { type, data: greeting, ...(connect.id === undefined ? {} : { id: connect.id }) };
  }

  #joined(room: string, position?: number): RoomJoined {
    return {
      room,
      epoch: "epoch-1",
      offset: position ?? 0,
      recovered: position !== undefined,
      replayed: 0,
      clientCount: 1,
      ...this.script.joined?.(room),
    };
  }

  #answer(frame: ClientFrame, send: (frame: object) => void): void {
    const room = frame.payload?.room as string;
    const answer =
      this.script.answer?.(frame) ??
      (frame.type === "join"
        ? { type: "room_joined", data: this.#joined(room), room }
        : frame.type === "leave"
          ? { type: "room_left", data: { room, reason: "requested" }, room }
          : undefined);
    if (answer !== undefined) send(frame.id === undefined ? answer : { ...answer, id: frame.id });
  }
}

/** An event as the server numbers it. */
export function eventFrame(
  type: string,
  data: Record<string, unknown>,
  room: string,
  offset: number,
): EventFrame {
  return { type, data, room, offset, eventId: `${room}-${offset}`, timestamp: now() };
}
