/** How the tests run: on Node with the built module; React tests choose a DOM in their first line. */
import { defineConfig } from "vitest/config";
import { constants, wasmPlugin } from "./build/wasm-plugin.ts";

export default defineConfig({
  define: constants("../../wasm/osbackend_client_wasm_bg.wasm"),
  plugins: [wasmPlugin()],
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    // Those run in Chromium, with a configuration of their own.
    exclude: ["test/browser/**"],
    typecheck: { enabled: true, include: ["test/**/*.test-d.ts"], tsconfig: "./tsconfig.json" },
    // Generous: builds and compilers run in some of them, on machines that are busy with others.
    testTimeout: 30_000,
    restoreMocks: true,
  },
});
