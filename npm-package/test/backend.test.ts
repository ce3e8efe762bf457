/** The backend's client over real HTTP: batches, retries, refusals, and promises that nobody awaits. */
import { expect, expectTypeOf, onTestFinished, test, vi } from "vitest";
import { type BackendError, type BackendOptions, createBackend } from "../src/server/index.js";
import { BackendApi } from "./backend-api.js";

async function start(options: BackendOptions = {}) {
  const api = await BackendApi.start();
  const told: [string, string][] = [];
  const backend = createBackend({
    url: api.url,
    apiKey: "secret-key",
    retryInitialMs: 1,
    retryMaxMs: 4,
    onError: (error, event) => told.push([error.code, event.type]),
    ...options,
  });
  onTestFinished(() => backend.close({ timeoutMs: 1 }));
  return { api, backend, told };
}

const failed = (promise: Promise<unknown>): Promise<BackendError> =>
  promise.then(
    () => expect.fail("it should have been refused"),
    (error) => error as BackendError,
  );

test("the functions of the service that this replaces, each as the protocol has it", async () => {
  const { api, backend } = await start();
  // Taken off the object: modules re-export them.
  const { emitMetricUpdate, emitAgentStatusChange, sendToUser, broadcastToRoom } = backend;
  const emitted = await emitMetricUpdate("voice_call", { active: 3, label: "calls" });
  expect(emitted).toEqual({ eventId: "e-1", rooms: [{ room: "dashboard:overview", offset: 1 }] });
  await emitAgentStatusChange("7", { status: "busy", message: "in a call" });
  await backend.emitVoiceCloneProgress("ann", { status: "processing", progress: 40 });
  await backend.emitTrainingMilestone({ userId: "ann", milestone: "half", details: { epoch: 5 } });
  await backend.emitClipPlayed("c1", { plays: 10 });
  const sent = await sendToUser("ann", "invoice_paid", { total: 12 }, { idempotencyKey: "invoice-1" });
  expect(sent).toEqual({ room: "user:ann", offset: 6, epoch: "e", eventId: "e-6", recipients: 2 });
  await broadcastToRoom("admin:broadcast", "maintenance", { at: "22:00" });
  expect(api.calls.map(({ method, path, events }) => [method, path, ...events])).toMatchObject([
    [
      "POST",
      "/api/ws/events",
      { type: "metric_update", data: { metric: "voice_call", values: { active: 3, label: "calls" } } },
    ],
    [
      "POST",
      "/api/ws/events",
      { type: "agent_status_change", data: { agentId: "7", status: "busy", message: "in a call" } },
    ],
    [
      "POST",
      "/api/ws/events",
      { type: "voice_clone_progress", data: { userId: "ann", status: "processing", progress: 40 } },
    ],
    [
      "POST",
      "/api/ws/events",
      { type: "training_milestone", data: { userId: "ann", milestone: "half", details: { epoch: 5 } } },
    ],
    ["POST", "/api/ws/events", { type: "clip_played", data: { clipId: "c1", plays: 10 } }],
    [
      "POST",
      "/api/ws/broadcast",
      { userId: "ann", type: "invoice_paid", data: { total: 12 }, idempotencyKey: "invoice-1" },
    ],
    ["POST", "/api/ws/broadcast", { room: "admin:broadcast", type: "maintenance", data: { at: "22:00" } }],
  ]);
  expect(api.calls.every(({ headers }) => headers["x-api-key"] === "secret-key")).toBe(true);
  expect(new Set(api.calls.flatMap(({ events }) => events.map((event) => event.idempotencyKey))).size).toBe(
    7,
  );
});

test("what is emitted in a row goes together and in order; what comes meanwhile is the next request", async () => {
  const { api, backend } = await start({ maxBatch: 100 });
  let open = () => {};
  api.gate = new Promise((resolve) => {
    open = resolve;
  });
  const all = [1, 2, 3].map((active) => backend.emitMetricUpdate("calls", { active }));
  await api.heard(1);
  for (let active = 4; active <= 203; active++) all.push(backend.emitMetricUpdate("calls", { active }));
  open();
  const answers = await Promise.all(all);
  expect(api.calls.map(({ events }) => events.length)).toEqual([3, 100, 100]);
  const values = api.calls.flatMap(({ events }) =>
    events.map(({ data }) => (data.values as { active: number }).active),
  );
  expect(values).toEqual(Array.from({ length: 203 }, (_, index) => index + 1));
  // Each promise has its own event's answer.
  expect(answers.map(({ rooms }) => rooms[0]?.offset)).toEqual(values);
});

test("large events make smaller requests", async () => {
  const { api, backend } = await start();
  const text = "x".repeat(60_000);
  await Promise.all(Array.from({ length: 20 }, () => backend.broadcastToRoom("agent:7", "note", { text })));
  expect(api.calls.map(({ events }) => events.length)).toEqual([8, 8, 4]);
  expect(Math.max(...api.calls.map(({ body }) => body.length))).toBeLessThan(512 * 1024 + 10);
});

test("no answer, 503, 429, a lost answer: sent again with the same keys, and published once", async () => {
  const { api, backend, told } = await start({ timeoutMs: 200 });
  api.failures.push(
    "lost",
    { status: 503, body: { error: { code: "unavailable", message: "going away" } } },
    "silent",
    {
      status: 429,
      body: { error: { code: "rate_limited", message: "slowly" } },
      headers: { "Retry-After": "0" },
    },
    { status: 502, body: "<html>bad gateway</html>" },
  );
  const answers = await Promise.all(["a", "b"].map((clip) => backend.emitClipPlayed(clip, { plays: 1 })));
  expect(answers.map(({ eventId }) => eventId)).toEqual(["e-1", "e-2"]);
  expect(api.calls.length).toBe(6);
  expect(new Set(api.calls.map(({ body }) => body)).size).toBe(1);
  expect([...api.stored.values()].map(({ data }) => data.clipId)).toEqual(["a", "b"]);
  expect(told).toEqual([]);
});

test("Retry-After is waited for", async () => {
  const { api, backend } = await start();
  api.failures.push({ status: 503, headers: { "Retry-After": "1" } });
  const began = performance.now();
  await backend.emitClipPlayed("c", { plays: 1 });
  expect(performance.now() - began).toBeGreaterThan(990);
});

test("a Retry-After beyond retryForMs ends it at once, and holds up nothing behind it", {
  timeout: 5_000,
}, async () => {
  const { api, backend, told } = await start();
  // In milliseconds it is more than a timer can hold, too.
  api.failures.push({ status: 429, headers: { "Retry-After": "9000000" } });
  const error = await failed(backend.emitClipPlayed("c", { plays: 1 }));
  expect([error.status, told]).toEqual([429, [["outcome_unknown", "clip_played"]]]);
  await backend.emitClipPlayed("c", { plays: 2 });
  expect(api.calls.length).toBe(2);
});

test("an answer that is not the API's publishes nothing, and says that the url may be wrong", async () => {
  for (const body of ["<!doctype html>", {}, []]) {
    const { api, backend } = await start({ retryForMs: 5 });
    api.decide = () => ({ status: 200, body });
    const error = await failed(backend.emitClipPlayed("c", { plays: 1 }));
    expect([error.code, error.message]).toEqual([
      "outcome_unknown",
      expect.stringContaining("the address of"),
    ]);
  }
});

test("given up after retryForMs: whether it was stored is only known where nothing was ever heard of it", async () => {
  const { api, backend, told } = await start({ retryForMs: 20 });
  api.decide = () => "lost";
  expect(await failed(backend.emitClipPlayed("c", { plays: 1 }))).toMatchObject({ code: "outcome_unknown" });
  const nowhere = createBackend({
    url: await goneUrl(),
    apiKey: "k",
    retryForMs: 20,
    retryInitialMs: 1,
    onError: () => {},
  });
  const error = await failed(nowhere.emitClipPlayed("c", { plays: 1 }));
  expect(error).toMatchObject({ code: "unavailable" });
  expect(error.message).toMatch(
    /not published in 20 ms: can't reach .*ECONNREFUSED.*Is the server running\?/,
  );
  expect(told).toEqual([["outcome_unknown", "clip_played"]]);
});

test("one bad event is refused with its field, the others of its request are published", async () => {
  const { api, backend, told } = await start();
  const progress = (n: number) =>
    backend.emitVoiceCloneProgress("ann", { status: "processing", progress: n });
  api.decide = ({ events }) => {
    const index = events.findIndex(({ data }) => Number(data.progress) > 100);
    const message = `[${index}].data.progress: must be 0 to 100`;
    return index < 0
      ? undefined
      : { status: 422, body: { error: { code: "bad_request", message, path: `[${index}].data.progress` } } };
  };
  const [first, bad, second, worse] = [progress(1), progress(101), progress(2), progress(102)];
  expect(await failed(bad)).toMatchObject({
    code: "bad_request",
    status: 422,
    path: "data.progress",
    message: "data.progress: must be 0 to 100",
  });
  await failed(worse);
  expect([(await first).eventId, (await second).eventId]).toEqual(["e-1", "e-2"]);
  expect(told).toEqual([
    ["bad_request", "voice_clone_progress"],
    ["bad_request", "voice_clone_progress"],
  ]);
});

test("a wrong key refuses what waits, and is not tried again", async () => {
  const { api, backend } = await start();
  api.decide = () => ({ status: 401, body: { error: { code: "unauthorized", message: "no such API key" } } });
  const refused = await Promise.all([1, 2].map((plays) => failed(backend.emitClipPlayed("c", { plays }))));
  expect(refused.map(({ code, status }) => [code, status])).toEqual([
    ["unauthorized", 401],
    ["unauthorized", 401],
  ]);
  expect(api.calls.length).toBe(1);
});

test("a promise that nobody awaits is no unhandled rejection, and the failure is told", async () => {
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  onTestFinished(() => void process.off("unhandledRejection", unhandled));
  const printed = vi.spyOn(console, "error").mockImplementation(() => {});
  const { api } = await start();
  api.decide = () => ({ status: 401, body: { error: { code: "unauthorized", message: "no such API key" } } });
  const backend = createBackend({ url: api.url, apiKey: "wrong" });
  backend.emitMetricUpdate("calls", { active: 1 });
  await backend.flush();
  await new Promise((resolve) => setImmediate(resolve));
  expect(unhandled).not.toHaveBeenCalled();
  expect(printed).toHaveBeenCalledExactlyOnceWith(
    "[osbackend] metric_update was not published: no such API key",
  );
});

test("close publishes what waits, rejects what it can't, and takes nothing more", async () => {
  const { api, backend, told } = await start();
  const last = backend.emitClipPlayed("c", { plays: 1 });
  await backend.close();
  expect((await last).eventId).toBe("e-1");
  expect(await failed(backend.emitClipPlayed("c", { plays: 2 }))).toMatchObject({ code: "closed" });
  const stuck = createBackend({ url: api.url, apiKey: "k", onError: () => {} });
  api.decide = () => "silent";
  const waiting = failed(stuck.emitClipPlayed("c", { plays: 3 }));
  await api.heard(2);
  await stuck.close({ timeoutMs: 1 });
  expect(await waiting).toMatchObject({ code: "closed" });
  expect(told).toEqual([["closed", "clip_played"]]);
});

test("the queue is bounded", async () => {
  const { api, backend } = await start({ queueLimit: 3 });
  api.decide = () => "silent";
  const all = [1, 2, 3, 4].map((plays) => backend.emitClipPlayed("c", { plays }));
  expect(await failed(all[3] as Promise<unknown>)).toMatchObject({ code: "queue_full" });
});

test("stats and disconnects are tried again as well", async () => {
  const { api, backend } = await start();
  const stats = {
    status: "ok",
    totalClients: 2,
    authenticatedClients: 1,
    rooms: { "agent:7": { clientCount: 2 } },
  };
  api.failures.push(
    { status: 503 },
    { status: 200, body: stats },
    { status: 200, body: { disconnected: 2 } },
  );
  expect((await backend.getWebSocketStats()).rooms["agent:7"]?.clientCount).toBe(2);
  expect(await backend.disconnectUser("ann")).toBe(2);
  expect(api.calls.map(({ method, path, body }) => [method, path, body])).toEqual([
    ["GET", "/api/ws/status", ""],
    ["GET", "/api/ws/status", ""],
    ["POST", "/api/ws/disconnect", '{"userId":"ann"}'],
  ]);
});

test("close doesn't wait for the pause of a question", async () => {
  const { api, backend } = await start({ retryInitialMs: 60_000, retryMaxMs: 60_000, retryForMs: 200_000 });
  api.decide = () => ({ status: 503 });
  const stats = failed(backend.getWebSocketStats());
  await api.heard(1);
  await backend.close({ timeoutMs: 1 });
  expect(await stats).toMatchObject({ code: "closed" });
});

test("options that can't work say what to give", () => {
  const code = (options: BackendOptions) => {
    try {
      createBackend(options);
    } catch (error) {
      return (error as BackendError).message;
    }
    return "";
  };
  vi.stubEnv("OSBACKEND_API_KEY", "");
  expect(code({})).toContain("osbackend api-key NAME");
  expect(code({ apiKey: "k", url: "ws://localhost:8082/ws" })).toContain("http: or https:");
  expect(code({ apiKey: "k", url: "nonsense" })).toContain("no URL");
  // Neither a key nor a password is in what is told.
  const line = code({ apiKey: "k-one\nk-two" });
  expect(line).toContain("line break");
  expect(line).not.toContain("k-one");
  const withPassword = code({ apiKey: "k", url: "http://ann:hunter2@127.0.0.1" });
  expect(withPassword).toContain("user or password");
  expect(withPassword).not.toContain("hunter2");
  expect(code({ apiKey: "k", retryForMs: 300_000 })).toContain("5 minutes");
  expect(code({ apiKey: "k", maxBatch: 0 })).toContain("maxBatch");
  vi.stubGlobal("window", {});
  vi.stubGlobal("document", {});
  expect(code({ apiKey: "k" })).toContain("doesn't belong into a page");
  expect(code({ apiKey: "k", dangerouslyAllowBrowser: true })).toBe("");
  vi.unstubAllGlobals();
  vi.unstubAllEnvs();
});

test("the default export is the backend of the environment, made when it is used", async () => {
  const { default: shared } = await import("../src/server/index.js");
  // Awaited, printed or compared it asks for no key: a build without one goes through.
  vi.stubEnv("OSBACKEND_API_KEY", "");
  expect(await shared).toBe(shared);
  expect(String(Object.prototype.toString.call(shared))).toBe("[object Object]");
  const api = await BackendApi.start();
  vi.stubEnv("OSBACKEND_URL", `${api.url}/below`);
  vi.stubEnv("OSBACKEND_API_KEY", "from-env");
  const { emitClipPlayed } = shared;
  await emitClipPlayed("c", { plays: 1 });
  expect(api.calls).toMatchObject([{ path: "/below/api/ws/events", headers: { "x-api-key": "from-env" } }]);
  vi.unstubAllEnvs();
});

test("events of one's own are typed", () => {
  interface Mine {
    order_placed: { orderId: string; total: number };
  }
  const typed = () => createBackend<Mine>({ apiKey: "k" });
  type Backend = ReturnType<typeof typed>;
  const calls = (backend: Backend) => {
    backend.broadcastToRoom("orders:eu", "order_placed", { orderId: "1", total: 2 });
    // @ts-expect-error: the total is missing
    backend.broadcastToRoom("orders:eu", "order_placed", { orderId: "1" });
    // @ts-expect-error: an agent's status has a status
    backend.sendToUser("ann", "agent_status_change", { agentId: "7" });
    // @ts-expect-error: no such status of a clone
    backend.emitVoiceCloneProgress("ann", { status: "running", progress: 1 });
  };
  expectTypeOf(calls).parameter(0).toHaveProperty("emitMetricUpdate");
});

/** An address where nobody listens. */
async function goneUrl(): Promise<string> {
  const api = await BackendApi.start();
  const { url } = api;
  api.stop();
  return url;
}
