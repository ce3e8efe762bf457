/** The module is loaded once a page, from where each entry finds it, and again after a failure. */
import { readFileSync } from "node:fs";
import { beforeEach, expect, test, vi } from "vitest";

const FILE = new URL("../wasm/osbackend_client_wasm_bg.wasm", import.meta.url);
const bytes = readFileSync(FILE);

// Each test begins as a page does: nothing is loaded yet.
beforeEach(() => {
  vi.resetModules();
  vi.doUnmock("virtual:client-wasm-inline");
});

/** Lets the next compilation of the module fail, and counts all of them. (The test runner compiles others.) */
function failOnce() {
  const compile = WebAssembly.compile;
  const calls = { count: 0 };
  vi.spyOn(WebAssembly, "compile").mockImplementation(async (source) => {
    if ((source as Uint8Array).byteLength === bytes.length && ++calls.count === 1)
      throw new Error("out of memory");
    return compile(source);
  });
  return calls;
}

async function load() {
  const { loadCore } = await import("../src/wasm-loader.js");
  const { besideScript } = await import("../src/wasm-sources/beside-script.js");
  return () => loadCore(besideScript);
}

test("calls share one load; a failure is forgotten", async () => {
  // A broken inline copy, so that nothing stands in.
  vi.doMock("virtual:client-wasm-inline", () => ({ default: btoa("no module") }));
  const begin = await load();
  const calls = failOnce();
  const failed = begin();
  expect(begin()).toBe(failed);
  await expect(failed).rejects.toThrow("out of memory");

  const loaded = begin();
  expect(loaded).not.toBe(failed);
  expect(await loaded).toBeTypeOf("function");
  expect(begin()).toBe(loaded);
  expect(calls.count).toBe(2);
});

test("where the file is lost the inline copy stands in, and says so once", async () => {
  const begin = await load();
  const calls = failOnce();
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  expect(await begin()).toBeTypeOf("function");
  await begin();
  expect(calls.count).toBe(2);
  expect(warn).toHaveBeenCalledTimes(1);
  expect(warn.mock.calls[0]?.[0]).toContain("out of memory");
});

test("a server's index page in place of the module is told as that", async () => {
  const { fetched } = await import("../src/wasm-sources/fetched.js");
  const page = new URL("data:text/html,<!doctype html>");
  await expect(fetched(page)).rejects.toThrow("answered HTML, and no WebAssembly");
});

test.for([
  ["an address", FILE],
  ["an address as text", FILE.href],
  ["the bytes", bytes],
  ["a buffer of them", new Uint8Array(bytes).buffer],
  ["a promise", Promise.resolve(bytes)],
  ["the compiled module", new WebAssembly.Module(bytes)],
  ["a function that gives one", () => new WebAssembly.Module(bytes)],
] as const)("./slim takes %s", async ([, wasm]) => {
  const { given } = await import("../src/wasm-sources/given.js");
  expect(WebAssembly.Module.exports(await given(wasm)).length).toBeGreaterThan(10);
});

test("./inline needs neither a file nor a request; the entries share what is loaded", async () => {
  const fetched = vi.spyOn(globalThis, "fetch");
  const { loadCore } = await import("../src/wasm-loader.js");
  const { inScript } = await import("../src/wasm-sources/in-script.js");
  const loaded = loadCore(inScript);
  expect(await loaded).toBeTypeOf("function");
  expect(fetched).not.toHaveBeenCalled();
  expect(loadCore(() => expect.fail("a second module"))).toBe(loaded);
});

test.each([
  "WebAssembly.compile(): Compiling or instantiating WebAssembly module violates the following Content Security policy directive",
  "call to WebAssembly.compile() blocked by CSP",
  "Refused to create a WebAssembly object because 'unsafe-eval' or 'wasm-unsafe-eval' is not an allowed source of script",
])(
  "a page that forbids WebAssembly is told what to set, in the words of each engine: %s",
  async (message) => {
    vi.doMock("virtual:client-wasm-inline", () => ({ default: btoa("no module") }));
    const begin = await load();
    const compile = vi.spyOn(WebAssembly, "compile").mockRejectedValue(new EvalError(message));
    await expect(begin()).rejects.toMatchObject({
      code: "wasm_blocked",
      message: expect.stringContaining("'wasm-unsafe-eval'"),
    });
    // A page whose policy was mended needs no other client.
    compile.mockRestore();
    expect(await begin()).toBeTypeOf("function");
  },
);

test("a browser without WebAssembly has a code of its own", async () => {
  const begin = await load();
  vi.stubGlobal("WebAssembly", undefined);
  try {
    await expect(begin()).rejects.toMatchObject({
      code: "no_webassembly",
      message: expect.stringContaining("WebAssembly"),
    });
  } finally {
    vi.unstubAllGlobals();
  }
});
