/** The backend's client where it is called once and ends, shares a process, or has a `fetch` that a framework made. */
import { expect, onTestFinished, test, vi } from "vitest";
import { type BackendError, type BackendOptions, createBackend } from "../src/server/index.js";
import { BackendApi } from "./backend-api.js";

const REFUSED = { status: 401, body: { error: { code: "unauthorized", message: "no such API key" } } };

async function start(options: BackendOptions = {}) {
  const api = await BackendApi.start();
  const backend = createBackend({ url: api.url, apiKey: "secret-key", ...options });
  onTestFinished(() => backend.close({ timeoutMs: 1 }));
  const printed = vi.spyOn(console, "error").mockImplementation(() => {});
  return { api, backend, printed };
}

test("a rejection that is caught, in whatever way, is not on the console as well", async () => {
  const { api, backend, printed } = await start({ queueLimit: 1 });
  api.decide = () => REFUSED;
  const emit = () => backend.emitClipPlayed("c", { plays: 1 });
  await expect(emit()).rejects.toMatchObject({ code: "unauthorized" });
  await emit().catch(() => {});
  await emit().then(undefined, () => {});
  expect(await Promise.allSettled([emit()])).toMatchObject([{ status: "rejected" }]);
  const wrapped = async () => emit();
  await wrapped().catch(() => {});
  // Refused at once: the promise has failed before anybody can look at it.
  const waiting = emit().catch(() => {});
  try {
    await emit();
  } catch (error) {
    expect((error as BackendError).code).toBe("queue_full");
  }
  await Promise.all([emit()]).catch(() => {});
  await waiting;
  await backend.flush();
  expect(printed).not.toHaveBeenCalled();
});

test("a rejection that nobody looks at is on the console before flush resolves, also one that came at once", async () => {
  const { api, backend, printed } = await start({ queueLimit: 1 });
  api.decide = () => REFUSED;
  backend.emitClipPlayed("c", { plays: 1 });
  backend.emitClipPlayed("c", { plays: 2 });
  await backend.flush();
  expect(printed.mock.calls).toEqual([
    [expect.stringContaining("clip_played was not published: 1 events are waiting")],
    ["[osbackend] clip_played was not published: no such API key"],
  ]);
});

test("an onError of one's own hears every failure, and nothing is on the console", async () => {
  const told: string[] = [];
  const { api, backend, printed } = await start({ onError: ({ code }) => told.push(code) });
  api.decide = () => REFUSED;
  await backend.emitClipPlayed("c", { plays: 1 }).catch(() => {});
  backend.emitClipPlayed("c", { plays: 2 });
  await backend.flush();
  expect([told, printed.mock.calls]).toEqual([["unauthorized", "unauthorized"], []]);
});

test("flush waits for what was emitted before it, and not for what others emit meanwhile", async () => {
  const { api, backend } = await start();
  let open = () => {};
  api.gate = new Promise((resolve) => {
    open = resolve;
  });
  backend.emitClipPlayed("first", { plays: 1 });
  backend.broadcastToRoom("agent:7", "note", {});
  const flushed = backend.flush();
  await api.heard(2);
  // Another request's, whose call is never answered.
  api.decide = () => "silent";
  backend.emitClipPlayed("second", { plays: 1 });
  open();
  await flushed;
  expect([...api.stored.values()].map(({ type }) => type).sort()).toEqual(["clip_played", "note"]);
});

test("no call is kept by a framework's fetch that caches whatever doesn't say otherwise", async () => {
  const kept = new Map<string, Response>();
  const cachingFetch: typeof fetch = async (input, init) => {
    const key = `${String(input)} ${init?.body ?? ""}`;
    const known = kept.get(key);
    if (known !== undefined) return known.clone();
    const response = await fetch(input, init);
    if (init?.cache !== "no-store") kept.set(key, response.clone());
    return response;
  };
  const { api, backend } = await start({ fetch: cachingFetch });
  api.decide = () => ({ status: 200, body: { totalClients: api.calls.length, disconnected: 1 } });
  expect((await backend.getWebSocketStats()).totalClients).toBe(1);
  expect((await backend.getWebSocketStats()).totalClients).toBe(2);
  await backend.disconnectUser("ann");
  await backend.disconnectUser("ann");
  expect(api.calls.length).toBe(4);
});

test("an edge runtime is asked for nothing that it refuses", async () => {
  // As workerd: `redirect` is "follow" or "manual"; before the compatibility date 2024-11-11 there is no `cache`.
  const check = (init?: RequestInit) => {
    if (init?.redirect === "error")
      throw new TypeError('Invalid redirect value, must be one of "follow" or "manual"');
    if (init?.cache !== undefined)
      throw new Error("The 'cache' field on 'RequestInitializerDict' is not implemented.");
  };
  vi.stubGlobal(
    "Request",
    class extends Request {
      constructor(input: RequestInfo | URL, init?: RequestInit) {
        check(init);
        super(input, init);
      }
    },
  );
  onTestFinished(() => void vi.unstubAllGlobals());
  const { api, backend } = await start({
    retryForMs: 0,
    fetch: async (input, init) => {
      check(init);
      return fetch(input, init);
    },
  });
  expect((await backend.emitClipPlayed("c", { plays: 1 })).eventId).toBe("e-1");
  expect(api.calls.length).toBe(1);
});

test("a redirect is not followed with the key, and says what to give as the url", async () => {
  const { api: other } = await start();
  const { api, backend } = await start();
  api.decide = () => ({ status: 307, headers: { Location: `${other.url}/login?secret=1` } });
  const error: BackendError = await backend.getWebSocketStats().then(
    () => expect.fail("it was followed"),
    (thrown) => thrown,
  );
  expect(error.message).toBe(
    `${api.url}/ redirects to ${other.url}: give the server's own address as \`url\`. A redirect is not followed, since the API key would go there`,
  );
  expect([error.code, error.status, api.calls.length, other.calls.length]).toEqual([
    "unavailable",
    307,
    1,
    0,
  ]);
});
