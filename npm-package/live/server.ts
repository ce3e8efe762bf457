/** The real server, for tests of the package: started, killed and started again on its port, and tokens for it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { createClient, type RealtimeClient } from "../src/index.js";

const SECRET = "tests of the package, longer than 32 bytes";

/** The binary: named by the environment, or what cargo built last in this repository. */
function binary(): string {
  const target = process.env.CARGO_TARGET_DIR ?? `${process.cwd()}/../target`;
  const found = process.env.OSB_SERVER ?? `${target}/debug/osbackend`;
  if (!existsSync(found)) {
    throw new Error(`no server at ${found}: cargo build --bin osbackend, or name one by OSB_SERVER`);
  }
  return found;
}

/** A token of this user, good for an hour. */
export function token(sub: string, claims: object = {}): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, role: "user", exp, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

export class Server {
  readonly #settings: Record<string, string>;
  #process: ChildProcess | undefined;
  #port = "0";
  #log: string[] = [];

  private constructor(settings: Record<string, string>) {
    this.#settings = settings;
  }

  /** With these settings of §10; it ends with the test. */
  static async start(settings: Record<string, string> = {}): Promise<Server> {
    const server = new Server(settings);
    onTestFinished(() => server.kill());
    await server.start();
    return server;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}/ws`;
  }

  /** Resolves when it listens; the port stays over restarts. */
  async start(): Promise<void> {
    const own = { JWT_SECRET: SECRET, ENGINE: "memory", HOST: "127.0.0.1", PORT: "0", WS_PORT: this.#port };
    const child = spawn(binary(), ["serve"], {
      env: { ...own, ...this.#settings },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    child.stderr.on("data", (chunk: Buffer) => this.#log.push(chunk.toString()));
    for await (const line of createInterface({ input: child.stdout })) {
      const listening = /^listening ws=\S+:(\d+) /.exec(line);
      if (!listening) continue;
      this.#port = listening[1] as string;
      // Read on, so that the pipe never fills.
      child.stdout.resume();
      return;
    }
    throw new Error(`the server ended before it listened:\n${this.#log.join("")}`);
  }

  /** As a crash would: no goodbye to anyone. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  /** A client of this user; its socket can be cut off as a network does. */
  client(sub: string): { client: RealtimeClient; cut(): void } {
    const sockets = new Set<WebSocket>();
    class Socket extends WebSocket {
      constructor(...args: ConstructorParameters<typeof WebSocket>) {
        super(...args);
        sockets.add(this);
        this.on("close", () => sockets.delete(this));
      }
    }
    const backoff = { initialMs: 20, maxMs: 100, attempts: 0 };
    const client = createClient({ url: this.url, WebSocket: Socket, backoff });
    onTestFinished(() => client.disconnect());
    void client.connect(token(sub));
    return { client, cut: () => sockets.forEach((socket) => void socket.terminate()) };
  }
}
