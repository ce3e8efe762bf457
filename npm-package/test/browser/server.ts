/** The real server for the pages: started before the first test file, ended after the last. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    /** Where the server is, and who may do what there. */
    server: { ws: string; http: string; token: string; adminToken: string };
  }
}

const repository = fileURLToPath(new URL("../../..", import.meta.url));

/** The binary: named by the environment, or what cargo built last in this repository. */
function binary(): string {
  const target = process.env.CARGO_TARGET_DIR ?? `${repository}/target`;
  const built = [`${target}/release/osbackend`, `${target}/debug/osbackend`];
  const found = process.env.OSB_SERVER ?? built.find(existsSync);
  if (!found || !existsSync(found)) {
    throw new Error("no server to test with: cargo build --bin osbackend, or name one by OSB_SERVER");
  }
  return found;
}

export default async function start(project: TestProject): Promise<() => Promise<void>> {
  const child = spawn(binary(), ["serve", "--dev"], {
    env: { ...process.env, ENGINE: "memory", HOST: "127.0.0.1", PORT: "0", WS_PORT: "0", RUST_LOG: "error" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout })) {
    const listening = /^listening ws=\S+:(\d+) http=\S+:(\d+)$/.exec(line);
    if (listening === null) continue;
    // Read on, so that the pipe never fills.
    child.stdout.resume();
    const http = `http://127.0.0.1:${listening[2]}`;
    const session = (await (await fetch(`${http}/dev/session`)).json()) as {
      token: string;
      adminToken: string;
    };
    project.provide("server", {
      ws: `ws://127.0.0.1:${listening[1]}/ws`,
      http,
      token: session.token,
      adminToken: session.adminToken,
    });
    return async () => {
      child.kill("SIGKILL");
      await gone;
    };
  }
  throw new Error("the server ended before it listened");
}
