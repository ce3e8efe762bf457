/** What the build and the tests share: where the WebAssembly module is, and the module as text. */
import { readFileSync } from "node:fs";

const WASM = new URL("../wasm/osbackend_client_wasm_bg.wasm", import.meta.url);
const INLINE = "virtual:client-wasm-inline";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** The constants of the sources; `wasmPath` is relative to the module that loads. */
export function constants(wasmPath: string): Record<string, string> {
  return { __VERSION__: JSON.stringify(version), __WASM_PATH__: JSON.stringify(wasmPath) };
}

/** Serves `virtual:client-wasm-inline`, and takes the second, never used, path to the module out of wasm-bindgen's glue. */
export function wasmPlugin() {
  return {
    name: "osbackend-wasm",
    resolveId: { filter: { id: /^virtual:client-wasm-inline$/ }, handler: () => `\0${INLINE}` },
    load: {
      filter: { id: /^\0virtual:client-wasm-inline$/ },
      handler: () => `export default ${JSON.stringify(readFileSync(WASM).toString("base64"))};`,
    },
    transform: {
      filter: { id: /osbackend_client_wasm\.js$/ },
      handler: (code: string) =>
        code.replace(/new URL\((['"])[^'"]*_bg\.wasm\1,\s*import\.meta\.url\)/, "undefined"),
    },
  };
}
