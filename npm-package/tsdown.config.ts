/** How the package is built: entries that share one client, and the module beside them. */
import { copyFileSync } from "node:fs";
import { defineConfig } from "tsdown";
import { constants, wasmPlugin } from "./build/wasm-plugin.ts";

export default defineConfig({
  // Each has its line in the `exports` of package.json as well.
  entry: {
    index: "src/index.ts",
    inline: "src/inline.ts",
    slim: "src/slim.ts",
    "react/index": "src/react/index.ts",
    supabase: "src/supabase.ts",
    "server/index": "src/server/index.ts",
    "devtools/index": "src/devtools/index.ts",
    "testing/index": "src/testing/index.ts",
    // No entry for users: made one, so that it stays a file of its own, which pages load when they need it only.
    "in-script": "src/wasm-sources/in-script.ts",
  },
  format: "esm",
  platform: "neutral",
  target: "es2022",
  // Declarations are tsc's, file by file: a bundled one can't be augmented by `declare module`.
  dts: false,
  sourcemap: false,
  minify: "dce-only",
  define: constants("./client.wasm"),
  plugins: [wasmPlugin()],
  // What entries share lies in the root of dist: the literal path to the module is relative to it.
  outputOptions: { chunkFileNames: "[name]-[hash].js" },
  fixedExtension: false,
  hooks: {
    "build:done": () => copyFileSync("wasm/osbackend_client_wasm_bg.wasm", "dist/client.wasm"),
  },
});
