/** The server's HTTP API by script, on a free port: it keeps every request, and fails as it is told. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface Sent {
  type: string;
  data: Record<string, unknown>;
  idempotencyKey: string;
  room?: string;
  userId?: string;
}

export interface Call {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  events: Sent[];
  body: string;
}

/** In place of an answer of success. */
export type Failure =
  | { status: number; body?: unknown; headers?: Record<string, string> }
  /** Taken and stored, but the connection ends before the answer. */
  | "lost"
  /** No answer, ever. */
  | "silent";

export class BackendApi {
  readonly calls: Call[] = [];
  /** What was stored, by key: as the server does, once. */
  readonly stored = new Map<string, Sent>();
  /** What becomes of the next calls. */
  readonly failures: Failure[] = [];
  /** Decides by the call. */
  decide: (call: Call) => Failure | undefined = () => undefined;
  /** While this is pending no call is answered. */
  gate: Promise<void> = Promise.resolve();
  #server: Server;
  #waiting: [count: number, resolve: () => void][] = [];

  private constructor() {
    this.#server = createServer(async (request, response) => {
      let body = "";
      for await (const part of request) body += part;
      const events = request.method === "POST" ? [JSON.parse(body)].flat() : [];
      const call: Call = {
        method: request.method ?? "",
        path: request.url ?? "",
        headers: request.headers,
        events,
        body,
      };
      this.calls.push(call);
      for (const [count, resolve] of this.#waiting) if (this.calls.length >= count) resolve();
      const failure = this.failures.shift() ?? this.decide(call);
      await this.gate;
      if (failure === "silent") return;
      if (typeof failure === "object") {
        response.writeHead(failure.status, { "Content-Type": "application/json", ...failure.headers });
        response.end(typeof failure.body === "string" ? failure.body : JSON.stringify(failure.body ?? {}));
        return;
      }
      const answers = events.map((event: Sent) => {
        if (!this.stored.has(event.idempotencyKey)) this.stored.set(event.idempotencyKey, event);
        const offset = [...this.stored.keys()].indexOf(event.idempotencyKey) + 1;
        const eventId = `e-${offset}`;
        return call.path.endsWith("/events")
          ? { eventId, rooms: [{ room: "dashboard:overview", offset }] }
          : { room: event.room ?? `user:${event.userId}`, offset, epoch: "e", eventId, recipients: 2 };
      });
      if (failure === "lost") {
        request.socket.destroy();
        return;
      }
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(JSON.stringify(answers));
    });
  }

  static async start(): Promise<BackendApi> {
    const api = new BackendApi();
    api.#server.listen(0, "127.0.0.1");
    await once(api.#server, "listening");
    onTestFinished(() => api.stop());
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resolves when there were so many calls. */
  heard(count: number): Promise<void> {
    if (this.calls.length >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push([count, resolve]));
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
