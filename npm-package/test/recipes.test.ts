/** docs/RECIPES.md: every recipe compiles against the published declarations, and those that can run here do. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { BackendApi } from "./backend-api.js";
import { pageFolder } from "./pages.js";
import { AuthServer, named } from "./supabase-auth.js";

const markdown = readFileSync(new URL("../../docs/RECIPES.md", import.meta.url), "utf8");
const recipes = [...markdown.matchAll(/```(tsx?) recipe=(\w+)\n([\s\S]*?)```/g)].map(
  ([, kind = "", name = "", code = ""]) => ({ kind, name, code }),
);

/** A folder with every recipe as a file. */
function folder(): string {
  const path = pageFolder();
  for (const { kind, name, code } of recipes) writeFileSync(join(path, `${name}.${kind}`), code);
  return path;
}

test("every recipe compiles, and there is no example that isn't one", { timeout: 90_000 }, () => {
  expect(recipes.map(({ name }) => name)).toEqual([
    "connect",
    "react",
    "next",
    "nexttoken",
    "own",
    "vue",
    "svelte",
    "supabase",
    "lambda",
    "after",
    "worker",
    "fake",
  ]);
  // The configuration of Jest is run by packaging/.
  const jest = [...markdown.matchAll(/```js recipe=(\w+)/g)].map(([, name]) => name);
  expect(jest).toEqual(["jestnext", "jestsetup", "jestplain"]);
  expect([...markdown.matchAll(/^```[a-z]/gm)].length).toBe(recipes.length + jest.length);
  const path = folder();
  const include = { extends: "../../tsconfig.json", include: ["."] };
  writeFileSync(join(path, "tsconfig.json"), JSON.stringify(include));
  const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
  try {
    execFileSync(process.execPath, [join(typescript, "bin/tsc"), "--project", path], { encoding: "utf8" });
  } catch (failed) {
    expect.fail((failed as { stdout: string }).stdout);
  }
});

test("Vue and Svelte follow an agent, and leave the room with their scope", async () => {
  const path = folder();
  const { createFakeServer } = await import("@osbackend/realtime/testing");
  const { default: service } = await import("@osbackend/realtime");
  const { effectScope } = await import("vue");
  const { useAgentStatus } = await import(join(path, "vue.ts"));
  const { agentStatus } = await import(join(path, "svelte.ts"));
  const { start } = await import(join(path, "connect.ts"));
  const server = createFakeServer();
  await service
    .connect(null, { WebSocket: server.WebSocket, url: server.url })
    .then(() => service.disconnect());
  onTestFinished(() => service.disconnect());
  const scope = effectScope();
  const vue = scope.run(() => useAgentStatus("7"));
  const seen: string[] = [];
  const stop = agentStatus("8").subscribe((status: string) => seen.push(status));
  // `start` gives the address only; the class is what the first connect was given.
  await service.connect(() => Promise.resolve("ann"), { WebSocket: server.WebSocket, url: server.url });
  expect(start).toBeTypeOf("function");
  server.emit("agent_status_change", { agentId: "7", status: "busy" });
  server.emit("agent_status_change", { agentId: "8", status: "online" });
  await expect.poll(() => [vue?.value, seen.at(-1)]).toEqual(["busy", "online"]);
  scope.stop();
  stop();
  await expect.poll(() => [server.members("agent:7"), server.members("agent:8")]).toEqual([[], []]);
});

test("Supabase: whoever signs in is connected, and a sign-out disconnects", async () => {
  const { createFakeServer } = await import("@osbackend/realtime/testing");
  const { default: service } = await import("@osbackend/realtime");
  const { follow } = await import(join(folder(), "supabase.ts"));
  const server = createFakeServer({ user: (token) => ({ id: named(token) ?? "" }) });
  await service.connect(null, { WebSocket: server.WebSocket, url: server.url });
  service.disconnect();
  onTestFinished(() => service.disconnect());
  const supabase = (await AuthServer.start()).client();
  await supabase.auth.signInWithPassword({ email: "ann@example.com", password: "secret" });
  // The recipe gives the address only; the class is put where it looks for it.
  vi.stubGlobal("WebSocket", server.WebSocket);
  onTestFinished(() => {
    vi.unstubAllGlobals();
  });
  await follow(supabase, server.url);
  expect(service.state).toMatchObject({ status: "connected", userId: "ann 1" });
  await supabase.auth.signOut();
  await expect.poll(() => service.state.status).toBe("closed");
});

test("the fake server's recipe hears what it missed", async () => {
  const { missedWhileAway } = await import(join(folder(), "fake.ts"));
  expect(await missedWhileAway()).toEqual([1, 2, 3]);
});

/** A server's API, in the environment of who calls it. */
async function backendApi(): Promise<BackendApi> {
  const api = await BackendApi.start();
  vi.stubEnv("OSBACKEND_URL", api.url);
  vi.stubEnv("OSBACKEND_API_KEY", "key");
  onTestFinished(() => void vi.unstubAllEnvs());
  return api;
}

test("functions have published when they end, or when the work that they told the platform of has", async () => {
  const api = await backendApi();
  const path = folder();
  const { handler } = await import(join(path, "lambda.ts"));
  expect(await handler({ clip: "a", plays: 1 })).toEqual({ statusCode: 204 });
  expect([...api.stored.values()].map(({ data }) => data.clipId)).toEqual(["a"]);
  const { played } = await import(join(path, "after.ts"));
  const works: Promise<void>[] = [];
  expect(played("b", 2, (work: Promise<void>) => works.push(work)).status).toBe(204);
  expect(api.calls.length).toBe(1);
  await Promise.all(works);
  expect([...api.stored.values()].map(({ data }) => data.clipId)).toEqual(["a", "b"]);
});

test("requests of an edge worker don't hang on each other", async () => {
  const api = await backendApi();
  const { default: worker } = await import(join(folder(), "worker.ts"));
  const printed = vi.spyOn(console, "error").mockImplementation(() => {});
  const visit = (page: string): Promise<void> =>
    new Promise((resolve) => {
      const environment = { OSBACKEND_URL: api.url, OSBACKEND_API_KEY: "key" };
      worker.fetch(new Request(`https://shop.example/${page}`), environment, {
        waitUntil: (work: Promise<void>) => work.then(resolve),
      });
    });
  // The call of the first request gets no answer.
  api.failures.push("silent");
  let isFirstOver = false;
  const first = visit("first").then(() => {
    isFirstOver = true;
  });
  await api.heard(1);
  await visit("second");
  expect([isFirstOver, [...api.stored.values()].map(({ data }) => data.clipId)]).toEqual([
    false,
    ["/second"],
  ]);
  await first;
  expect([...api.stored.values()].map(({ data }) => data.clipId)).toEqual(["/second", "/first"]);
  expect(printed).not.toHaveBeenCalled();
});
