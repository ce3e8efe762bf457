/** The real server under the tabs: killed and started again on the same ports, with what it has stored. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Fixed, so that tokens and sessions of before a restart are good after it. */
export const JWT_SECRET = "tabs-end-to-end-0123456789abcdef";

/** The binary: named by the environment, or what cargo built last in this repository. */
function binary(): string {
  const target = process.env.CARGO_TARGET_DIR ?? `${root}/target`;
  const found =
    process.env.OSB_SERVER ?? [`${target}/release/osbackend`, `${target}/debug/osbackend`].find(existsSync);
  if (!found || !existsSync(found))
    throw new Error("no server to test with: cargo build --bin osbackend, or name one by OSB_SERVER");
  return found;
}

export class Server {
  readonly #page: string;
  readonly #settings: Record<string, string>;
  readonly #data = mkdtempSync(join(tmpdir(), "osbackend-tabs-"));
  readonly #log: string[] = [];
  #process: ChildProcess | undefined;
  /** 0 until the first start has chosen them. */
  #ports = { http: "0", ws: "0" };
  #admin = "";

  /** `page` is the folder that it serves; `settings` are others than the server's own. */
  constructor(page: string, settings: Record<string, string> = {}) {
    this.#page = page;
    this.#settings = settings;
  }

  /** Where it serves HTTP, once it was started. */
  get port(): number {
    return Number(this.#ports.http);
  }

  get url(): string {
    return `http://localhost:${this.#ports.http}/`;
  }

  /** Everything it printed, for a failed test. */
  get log(): string {
    return this.#log.join("");
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const child = spawn(binary(), ["serve", "--dev", "--demo-dir", this.#page], {
      env: {
        ...process.env,
        OSBACKEND_DEV_SECRET: JWT_SECRET,
        ENGINE: "sqlite",
        DATA_DIR: this.#data,
        HOST: "127.0.0.1",
        PORT: this.#ports.http,
        WS_PORT: this.#ports.ws,
        RUST_BACKTRACE: "0",
        ...this.#settings,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    child.stderr.on("data", (chunk: Buffer) => this.#log.push(chunk.toString()));
    for await (const line of createInterface({ input: child.stdout })) {
      this.#log.push(`${line}\n`);
      const listening = /^listening ws=\S+:(\d+) http=\S+:(\d+)$/.exec(line);
      if (!listening) continue;
      this.#ports = { ws: listening[1] as string, http: listening[2] as string };
      // Read on, so that the pipe never fills.
      child.stdout.resume();
      this.#admin = (
        (await (await fetch(`${this.url}dev/session`)).json()) as { adminToken: string }
      ).adminToken;
      return;
    }
    throw new Error(`the server ended before it listened:\n${this.log}`);
  }

  /** As a crash would. Resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  /** Ends it, and what it has stored. */
  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#data, { recursive: true, force: true });
  }

  /** Connections now, and in each room. */
  async status(): Promise<{ totalClients: number; rooms: Record<string, { clientCount: number }> }> {
    return (await this.#call("GET", "status")) as Awaited<ReturnType<Server["status"]>>;
  }

  /** Publishes one event; with the same key again it is stored once. */
  async publish(room: string, type: string, data: object, idempotencyKey?: string): Promise<void> {
    await this.#call("POST", "broadcast", { room, type, data, idempotencyKey });
  }

  /** All events of a room. */
  async history(room: string): Promise<{ events: { data: { n: number } }[] }> {
    return (await this.#call("GET", `rooms/${room}/history?limit=1000`)) as Awaited<
      ReturnType<Server["history"]>
    >;
  }

  async #call(method: string, path: string, body?: object): Promise<unknown> {
    const answer = await fetch(`${this.url}api/ws/${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#admin}`, "content-type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
}

/** Publishes consecutive numbers into a room until it is stopped, over restarts of the server too. */
export class Publisher {
  readonly #server: Server;
  readonly #room: string;
  readonly #running: Promise<void>;
  #stopped = false;
  /** The last number that is stored. */
  published = 0;

  constructor(server: Server, room: string) {
    this.#server = server;
    this.#room = room;
    this.#running = this.#run();
  }

  /** Resolves when so many more are stored. */
  async more(count: number): Promise<void> {
    const enough = this.published + count;
    while (this.published < enough && !this.#stopped) await new Promise((later) => setImmediate(later));
  }

  /** Gives the last number. */
  async stop(): Promise<number> {
    this.#stopped = true;
    await this.#running;
    return this.published;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const n = this.published + 1;
      try {
        await this.#server.publish(this.#room, "tick", { n }, `${this.#room} ${n}`);
        this.published = n;
      } catch (failed) {
        // The server is away, or away and back: the same number again, with the same key.
        if (!(failed instanceof TypeError)) throw failed;
        await new Promise((later) => setImmediate(later));
      }
    }
  }
}
