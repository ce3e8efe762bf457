/** The package as it is published (`npm run build` comes first): what a page loads, and that Node and servers can. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { expect, onTestFinished, test, vi } from "vitest";
import { WebSocket } from "ws";
import { pageFolder } from "./pages.js";
import { ScriptedServer } from "./server.js";

const BUDGET = 64 * 1024;

/** A text of what checks events (`validate: "strict"`), which no page loads in production. */
const CHECKER = "once percent-encoded";

/** A page of one line, built as a bundler builds it for production. */
async function page(script: string, mode = "production") {
  const folder = pageFolder();
  const input = join(folder, "page.js");
  writeFileSync(input, script);
  const built = await build({
    configFile: false,
    root: folder,
    mode,
    logLevel: "silent",
    build: { write: false, modulePreload: { polyfill: false }, rolldownOptions: { input } },
  });
  return (built as Rolldown.RolldownOutput).output;
}

test("nothing of the page is needed to import any entry (jsdom has no TextDecoder)", () => {
  const entries = [
    "index",
    "inline",
    "slim",
    "react/index",
    "supabase",
    "server/index",
    "testing/index",
    "devtools/index",
  ];
  const program = `
    for (const name of ["TextDecoder", "TextEncoder", "WebSocket", "WebAssembly", "fetch", "performance"]) delete globalThis[name];
    for (const entry of ${JSON.stringify(entries)}) await import("./dist/" + entry + ".js");
    console.log(typeof TextDecoder, typeof TextEncoder);`;
  const node = [process.execPath, ["--input-type=module", "--eval", program]] as const;
  const told = execFileSync(...node, { cwd: join(import.meta.dirname, ".."), encoding: "utf8" });
  expect(told).toBe("undefined undefined\n");
});

test("a page loads at most 64 KB: the script and the module; the inline copy stays behind", async () => {
  const output = await page('import service from "@osbackend/realtime"; globalThis.service = service;');
  const entry = output.find((file) => file.type === "chunk" && file.isEntry);
  const wasm = output.find((file) => file.fileName.endsWith(".wasm"));
  if (entry?.type !== "chunk" || wasm?.type !== "asset") throw new Error("no script or no module was built");
  expect(entry.imports).toEqual([]);
  // The inline copy, what tabs share a connection with, and what checks events: only where they are wanted.
  expect(entry.dynamicImports).toHaveLength(3);
  const checker = output.find((file) => file.type === "chunk" && file.code.includes(CHECKER));
  expect(entry.dynamicImports).toContain(checker?.fileName);
  expect(entry.code).not.toContain(CHECKER);
  expect(entry.code).toContain(wasm.fileName.split("/").at(-1));
  const [script, module] = [entry.code, wasm.source].map((file) => gzipSync(file, { level: 9 }).length) as [
    number,
    number,
  ];
  expect(script + module, `script ${script}, module ${module}`).toBeLessThanOrEqual(BUDGET);
});

test("a production page doesn't ask for the checker, a development page does", async () => {
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  for (const [mode, strict] of [
    ["production", false],
    ["development", true],
  ] as const) {
    vi.stubEnv("NODE_ENV", mode);
    const output = await page(
      `import { createClient } from "@osbackend/realtime"; createClient({ url: "ws://h/ws" }).connect();`,
      mode,
    );
    const [entry] = output;
    if (entry?.type !== "chunk") throw new Error("no script was built");
    // What the build made of `process.env.NODE_ENV !== "production"`: decided, where there is no `process`.
    expect(entry.code).not.toContain("NODE_ENV");
    const decided = /try\s*\{\s*return\s*(true|false|!0|!1)\b/.exec(entry.code)?.[1];
    expect(decided === "true" || decided === "!0", `${mode}: ${decided}`).toBe(strict);
  }
});

test("a page that needs constants only carries no client and no module", async () => {
  const output = await page(
    'import { CLOSE_CODES } from "@osbackend/realtime"; console.log(CLOSE_CODES.restart);',
  );
  const [entry] = output;
  if (entry?.type !== "chunk") throw new Error("no script was built");
  expect(entry.code).toContain("1012");
  expect(entry.code).not.toContain(".wasm");
  expect(entry.code).not.toContain("joinRoom");
});

test("Node imports it, loads the module from disk and connects", async () => {
  const { createClient } = await import("@osbackend/realtime");
  const server = await ScriptedServer.start();
  const client = createClient({ url: server.url, WebSocket });
  onTestFinished(() => {
    client.disconnect();
    server.stop();
  });
  await client.connect("t");
  expect(client.state).toMatchObject({ status: "connected", authenticated: true });
});

test("importing does nothing: no request, no timer, no global", () => {
  const script = `
    for (const name of ["fetch", "WebSocket", "setTimeout", "setInterval", "document", "window"])
      Object.defineProperty(globalThis, name, { get() { throw new Error(name + " was touched"); } });
    const before = Object.getOwnPropertyNames(globalThis).length;
    const { default: service } = await import("@osbackend/realtime");
    await import("@osbackend/realtime/react");
    if (Object.getOwnPropertyNames(globalThis).length !== before) throw new Error("a global was made");
    console.log(service.state.status);
  `;
  const said = execFileSync(process.execPath, ["--input-type=module", "--eval", script], {
    cwd: import.meta.dirname,
    encoding: "utf8",
  });
  expect(said.trim()).toBe("idle");
});
