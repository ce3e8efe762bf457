/** How the package is built: two entries that share one client, and the module beside them. */
import { copyFileSync } from "node:fs";
import { defineConfig } from "tsdown";
import { constants, wasmPlugin } from "./build/wasm-plugin.ts";

export default defineConfig({
  entry: { index: "src/index.ts", "react/index": "src/react/index.ts" },
  format: "esm",
  platform: "neutral",
  target: "es2022",
  // Declarations are tsc's, file by file: a bundled one can't be augmented by `declare module`.
  dts: false,
  sourcemap: false,
  minify: "dce-only",
  define: constants("./client.wasm"),
  plugins: [wasmPlugin()],
  // One shared chunk in the root of dist: the literal path to the module is relative to it.
  outputOptions: { chunkFileNames: "client-[hash].js" },
  fixedExtension: false,
  hooks: {
    "build:done": () => copyFileSync("wasm/osbackend_client_wasm_bg.wasm", "dist/client.wasm"),
  },
});
