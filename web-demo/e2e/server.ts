/** The real server under the page: started, killed and started again on the same ports. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const page = fileURLToPath(new URL("../dist", import.meta.url));

/** Fixed, so that tokens and sessions of before a restart are good after it. */
const OSBACKEND_DEV_SECRET = "web-demo-end-to-end-0123456789abcdef";

/** The binary: named by the environment, or what cargo built last in this repository. */
function binary(): string {
  const target = process.env.CARGO_TARGET_DIR ?? `${root}/target`;
  const named = process.env.OSBACKEND_BIN ?? process.env.OSB_SERVER;
  const found = named ?? [`${target}/release/osbackend`, `${target}/debug/osbackend`].find(existsSync);
  if (!found || !existsSync(found)) {
    throw new Error("no server to test with: cargo build --bin osbackend, or name one by OSBACKEND_BIN");
  }
  return found;
}

/** `cargo xtask demo` without the building: it keeps the server, and kills it when the page asks for that. */
function keeper(): string {
  const found = process.env.OSB_XTASK ?? `${process.env.CARGO_TARGET_DIR ?? `${root}/target`}/debug/xtask`;
  if (!existsSync(found))
    throw new Error("no xtask to test with: cargo build -p xtask, or name one by OSB_XTASK");
  return found;
}

export interface DemoServerOptions {
  /** `memory` loses everything with a restart, `sqlite` nothing. */
  engine: "memory" | "sqlite";
  /** Under the keeper of `cargo xtask demo`. */
  kept?: boolean;
}

export class DemoServer {
  readonly #engine: "memory" | "sqlite";
  readonly #kept: boolean;
  readonly #data = mkdtempSync(join(tmpdir(), "osbackend-e2e-"));
  #process: ChildProcess | undefined;
  /** 0 until the first start has chosen them. */
  #ports = { http: "0", ws: "0" };
  #log: string[] = [];

  constructor({ engine, kept = false }: DemoServerOptions) {
    this.#engine = engine;
    this.#kept = kept;
  }

  /** Where the page is. */
  get url(): string {
    return `http://localhost:${this.#ports.http}/`;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    if (!existsSync(`${page}/index.html`)) {
      throw new Error("the page is not built: npm run build -w npm-package -w web-demo");
    }
    const [program, ...args] = this.#kept
      ? [keeper(), "demo", "--serve-only", binary()]
      : [binary(), "serve", "--dev", "--demo-dir", page];
    const child = spawn(program as string, args, {
      env: {
        ...process.env,
        OSBACKEND_DEV_SECRET,
        ENGINE: this.#engine,
        DATA_DIR: this.#data,
        DRAIN: "0s",
        HOST: "127.0.0.1",
        PORT: this.#ports.http,
        WS_PORT: this.#ports.ws,
        RUST_BACKTRACE: "0",
        // By this xtask finds the checkout, as cargo would tell it.
        CARGO_MANIFEST_DIR: `${root}/xtask`,
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
      return;
    }
    throw new Error(`the server ended before it listened:\n${this.#log.join("")}`);
  }

  /** As a crash would: no goodbye to anyone. Resolves when it is gone. */
  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  /** Ends it, and forgets what it stored. */
  async remove(): Promise<void> {
    // The keeper would leave its server behind.
    await this.kill(this.#kept ? "SIGTERM" : "SIGKILL");
    rmSync(this.#data, { recursive: true, force: true });
  }

  /** Everything it printed, for a failed test. */
  get log(): string {
    return this.#log.join("");
  }
}
