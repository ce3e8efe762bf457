/** The module is loaded once, and again after a failure. */
import { statSync } from "node:fs";
import { expect, test, vi } from "vitest";

const { size } = statSync(new URL("../wasm/osbackend_client_wasm_bg.wasm", import.meta.url));

/** Lets the next compilation of the module fail, and counts all of them. (The test runner compiles others.) */
function failOnce() {
  const compile = WebAssembly.compile;
  const calls = { count: 0 };
  vi.spyOn(WebAssembly, "compile").mockImplementation(async (bytes) => {
    if ((bytes as Uint8Array).byteLength === size && ++calls.count === 1) throw new Error("out of memory");
    return compile(bytes);
  });
  return calls;
}

test("calls share one load; a failure is forgotten", async () => {
  // A broken inline copy, so that nothing stands in.
  vi.doMock("virtual:client-wasm-inline", () => ({ default: btoa("no module") }));
  const { loadCore } = await import("../src/wasm-loader.js");
  const calls = failOnce();
  const failed = loadCore();
  expect(loadCore()).toBe(failed);
  await expect(failed).rejects.toThrow();

  const loaded = loadCore();
  expect(loaded).not.toBe(failed);
  expect(await loaded).toBeTypeOf("function");
  expect(loadCore()).toBe(loaded);
  expect(calls.count).toBe(2);
});

test("where the file is lost the inline copy stands in", async () => {
  vi.resetModules();
  vi.doUnmock("virtual:client-wasm-inline");
  const { loadCore } = await import("../src/wasm-loader.js");
  const calls = failOnce();
  expect(await loadCore()).toBeTypeOf("function");
  expect(calls.count).toBe(2);
});
