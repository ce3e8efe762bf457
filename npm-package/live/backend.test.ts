/** `./server` against the real server: what a backend emits arrives, once; the webhooks' examples decide. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import type { RealtimeEvent } from "../src/events.js";
import { type BackendError, createBackend, type Emitted } from "../src/server/index.js";
import { collects, reaches } from "../test/live.js";
import { Server } from "./server.js";

const API_KEY = "the-key-of-a-backend-in-these-tests";
const API_KEYS = `tests:${createHash("sha256").update(API_KEY).digest("hex")}`;
const SECRET = "the secret that signs these webhooks";

function backendOf(server: Server) {
  const url = server.url.replace("ws:", "http:").replace(/\/ws$/, "");
  const backend = createBackend({ url, apiKey: API_KEY, retryInitialMs: 20, onError: () => {} });
  onTestFinished(() => backend.close({ timeoutMs: 1 }));
  return backend;
}

test("each function's event arrives in its rooms, typed", async () => {
  const server = await Server.start({ API_KEYS });
  const { client } = server.client("ann");
  for (const room of ["dashboard:overview", "voice:training", "clips:analytics", "agent:7"])
    client.joinRoom(room);
  await reaches(client, "connected");
  const heard = collects<RealtimeEvent>(6, (done) => client.on("*", done));
  const backend = backendOf(server);
  await backend.emitMetricUpdate("voice_call", { active: 3 });
  const status: Emitted = await backend.emitAgentStatusChange("7", { status: "busy" });
  await backend.emitVoiceCloneProgress("ann", { status: "processing", progress: 40 });
  await backend.emitTrainingMilestone({ userId: "ann", milestone: "half" });
  await backend.emitClipPlayed("c1", { plays: 10 });
  await backend.sendToUser("ann", "invoice_paid", { total: 12 });
  expect((await heard).map(({ type, data }) => [type, data])).toEqual([
    ["metric_update", { metric: "voice_call", values: { active: 3 } }],
    ["agent_status_change", { agentId: "7", status: "busy" }],
    ["voice_clone_progress", { userId: "ann", status: "processing", progress: 40 }],
    ["training_milestone", { userId: "ann", milestone: "half" }],
    ["clip_played", { clipId: "c1", plays: 10 }],
    ["invoice_paid", { total: 12 }],
  ]);
  expect(status.rooms.map(({ room }) => room)).toEqual(["agent:7", "dashboard:overview"]);
  const stats = await backend.getWebSocketStats();
  expect(stats).toMatchObject({ status: "ok", totalClients: 1, rooms: { "agent:7": { clientCount: 1 } } });
  const closed = reaches(client, "closed");
  expect(await backend.disconnectUser("ann")).toBe(1);
  expect(await closed).toMatchObject({ code: 4505 });
});

test("a bad event names its field, and the others of the request are published", async () => {
  const backend = backendOf(await Server.start({ API_KEYS }));
  const progress = (n: number) =>
    backend.emitVoiceCloneProgress("ann", { status: "processing", progress: n });
  const [good, bad, fine] = await Promise.allSettled([progress(1), progress(101), progress(2)]);
  expect([good.status, bad.status, fine.status]).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect((bad as PromiseRejectedResult).reason as BackendError).toMatchObject({
    code: "bad_request",
    path: "data.progress",
  });
  const nowhere = await backend
    .broadcastToRoom("secret:room", "note", {})
    .catch((error: BackendError) => error);
  expect(nowhere).toMatchObject({ code: "forbidden", status: 403 });
});

test("the server is killed under a backend that emits: each event is stored once, in order", async () => {
  const data = mkdtempSync(join(tmpdir(), "osbackend-"));
  onTestFinished(() => rmSync(data, { recursive: true, force: true }));
  const server = await Server.start({ API_KEYS, ENGINE: "sqlite", DATA_DIR: data });
  const backend = backendOf(server);
  const all: Promise<{ offset: number }>[] = [];
  for (let n = 1; n <= 40; n++) {
    for (let part = 0; part < 5; part++)
      all.push(backend.broadcastToRoom("agent:7", "note", { n: all.length + 1 }));
    await (n % 10 === 0 ? server.kill().then(() => server.start()) : all.at(-1));
  }
  const published = await Promise.all(all);
  expect(published.map(({ offset }) => offset)).toEqual(published.map((_, index) => index + 1));
  const { client } = server.client("ann");
  await reaches(client, "connected");
  const { events } = await client.request("history:get", { room: "agent:7", limit: 1000 });
  expect(events.map(({ data }) => data.n)).toEqual(published.map((_, index) => index + 1));
});

test.each(["express", "fetch"])("the example with %s decides who may connect and join", async (kind) => {
  const server = await Server.start({
    API_KEYS,
    WEBHOOK_URL: await example(kind),
    WEBHOOK_SECRET: SECRET,
    WEBHOOK_EVENTS: "connect,join,custom,disconnect",
  });
  const { client } = server.client("ann");
  await reaches(client, "connected");
  const secret = client.joinRoom("agent:secret");
  const open = client.joinRoom("agent:7");
  client.on("error", () => {});
  const states = await collects<string>(2, (done) =>
    client.on("room", ({ room, status }) => done(`${room} ${status}`)),
  );
  expect(states.filter((state) => !state.endsWith("joining")).length).toBeGreaterThan(0);
  await expect.poll(() => [secret.state.status, open.state.status]).toEqual(["refused", "joined"]);
  expect(await client.request("time:get", {})).toEqual({ by: "ann" });
  const { client: mallory } = server.client("mallory");
  expect(await reaches(mallory, "closed")).toMatchObject({ code: 4502 });
});

/** The example's address; it ends with the test. */
async function example(kind: string): Promise<string> {
  const file = (name: string) => fileURLToPath(new URL(`../examples/${name}`, import.meta.url));
  if (kind === "express") {
    const child = spawn(process.execPath, [file("webhook-express.mjs")], {
      env: { ...process.env, WEBHOOK_SECRET: SECRET, PORT: "0" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill());
    for await (const line of createInterface({ input: child.stdout })) return line;
    throw new Error("the example ended before it listened");
  }
  process.env.WEBHOOK_SECRET = SECRET;
  const { POST } = (await import(file("webhook-fetch.mjs"))) as { POST(request: Request): Promise<Response> };
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const answer = await POST(
      new Request("http://backend/hook", {
        method: "POST",
        headers: request.headers as Record<string, string>,
        body: Buffer.concat(parts),
      }),
    );
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(await answer.text());
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
}
