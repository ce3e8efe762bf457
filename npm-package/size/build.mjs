/** Builds the pages that size-limit weighs: what a bundler makes of one import, for production, with Vite. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const PAGES = {
  index: 'import service from "@osbackend/realtime"; globalThis.service = service;',
  inline: 'import service from "@osbackend/realtime/inline"; globalThis.service = service;',
  slim: 'import { createClient } from "@osbackend/realtime/slim"; globalThis.createClient = createClient;',
  react: 'export * from "@osbackend/realtime/react";',
};

const folder = fileURLToPath(new URL("../.pages/size", import.meta.url));
rmSync(folder, { recursive: true, force: true });
for (const [name, script] of Object.entries(PAGES)) {
  const root = join(folder, name);
  const input = join(root, "page.mjs");
  mkdirSync(join(root, "loaded"), { recursive: true });
  writeFileSync(input, script);
  const { output } = await build({
    configFile: false,
    root,
    logLevel: "error",
    build: {
      write: false,
      modulePreload: { polyfill: false },
      rolldownOptions: { input, external: ["react"], preserveEntrySignatures: "exports-only" },
    },
  });
  for (const file of loaded(output)) {
    writeFileSync(join(root, "loaded", basename(file.fileName)), file.code ?? file.source);
  }
}

/** The script, what it imports, in turn, and the module: not what it may import later. */
function loaded(output) {
  const named = new Map(output.map((file) => [file.fileName, file]));
  const found = new Set(output.filter((file) => file.isEntry || file.fileName.endsWith(".wasm")));
  for (const file of found) {
    for (const name of file.imports ?? []) if (named.has(name)) found.add(named.get(name));
  }
  return found;
}
