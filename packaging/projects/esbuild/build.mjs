/** Three pages: the package's file is copied beside the script for `.`, needs no step for `./inline`, and is an asset for `./slim`. */
import { copyFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const common = { bundle: true, format: "esm", minify: true, logLevel: "warning" };
await build({ ...common, entryPoints: ["src/index.js"], outdir: "dist/index", splitting: true });
await build({ ...common, entryPoints: ["src/index.js"], outdir: "dist/lost", splitting: true });
await build({ ...common, entryPoints: ["src/inline.js"], outdir: "dist/inline" });
await build({
  ...common,
  entryPoints: ["src/slim.js"],
  outdir: "dist/slim",
  loader: { ".wasm": "file" },
  assetNames: "[name]",
});
await copyFile(
  fileURLToPath(import.meta.resolve("@osbackend/realtime/client.wasm")),
  "dist/index/client.wasm",
);
