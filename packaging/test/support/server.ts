/** The real server that the projects talk to, and what the test publishes by its HTTP API. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Service, serve } from "./run.ts";

/** What the tokens of a project's own backend are signed with. */
export const SECRET = "the secret of the projects, longer than 32 bytes";

/** A running `osbackend serve --dev`. */
export class RealServer {
  readonly url: string;
  readonly token: string;
  readonly #service: Service;
  readonly #http: string;
  readonly #adminToken: string;
  readonly #folder: string;

  private constructor(service: Service, folder: string, token: string, adminToken: string) {
    this.#service = service;
    this.#folder = folder;
    this.url = `ws://127.0.0.1:${service.found[1]}/ws`;
    this.#http = `http://127.0.0.1:${service.found[2]}`;
    this.token = token;
    this.#adminToken = adminToken;
  }

  static async start(): Promise<RealServer> {
    const binary = process.env.OSB_SERVER;
    if (!binary)
      throw new Error("no server to test with: cargo build --bin osbackend, and name it by OSB_SERVER");
    const folder = await mkdtemp(join(tmpdir(), "osbackend-packaging-server-"));
    const service = await serve(binary, ["serve", "--dev"], {
      cwd: folder,
      // Not as JWT_SECRET: beside a real secret `--dev` gives no tokens out.
      env: { HOST: "127.0.0.1", PORT: "0", WS_PORT: "0", ENGINE: "memory", OSBACKEND_DEV_SECRET: SECRET },
      ready: /^listening ws=\S+:(\d+) http=\S+:(\d+)$/m,
    });
    const session = await fetch(`http://127.0.0.1:${service.found[2]}/dev/session`);
    const { token, adminToken } = (await session.json()) as { token: string; adminToken: string };
    return new RealServer(service, folder, token, adminToken);
  }

  /** What a page is told in its address. */
  get query(): string {
    return `?${new URLSearchParams({ url: this.url, token: this.token })}`;
  }

  /** What a program is told by its environment. */
  get env(): Record<string, string> {
    return { WS_URL: this.url, TOKEN: this.token };
  }

  /** Tells everyone in `dashboard:overview` of an agent. */
  async publish(agentId: string): Promise<void> {
    const answer = await fetch(`${this.#http}/api/ws/events`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.#adminToken}`, "content-type": "application/json" },
      body: JSON.stringify({ type: "agent_status_change", data: { agentId, status: "online" } }),
    });
    if (!answer.ok) throw new Error(`POST /api/ws/events answered ${answer.status}: ${await answer.text()}`);
  }

  async stop(): Promise<void> {
    await this.#service.stop();
    await rm(this.#folder, { recursive: true });
  }
}
