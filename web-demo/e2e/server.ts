/** The real server under the page: started, killed and started again on the same ports. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const page = fileURLToPath(new URL("../dist", import.meta.url));

/** Fixed, so that tokens and sessions of before a restart are good after it. */
const JWT_SECRET = "web-demo-end-to-end-0123456789abcdef";

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

export class DemoServer {
  #process: ChildProcess | undefined;
  /** 0 until the first start has chosen them. */
  #ports = { http: "0", ws: "0" };
  #log: string[] = [];

  /** Where the page is. */
  get url(): string {
    return `http://localhost:${this.#ports.http}/`;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    if (!existsSync(`${page}/index.html`)) {
      throw new Error("the page is not built: npm run build -w npm-package -w web-demo");
    }
    const child = spawn(binary(), ["serve", "--dev", "--demo-dir", page], {
      env: {
        ...process.env,
        JWT_SECRET,
        // The restart is to lose the rooms' history: the page must tell that too.
        ENGINE: "memory",
        HOST: "127.0.0.1",
        PORT: this.#ports.http,
        WS_PORT: this.#ports.ws,
        RUST_BACKTRACE: "0",
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
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  /** Everything it printed, for a failed test. */
  get log(): string {
    return this.#log.join("");
  }
}
