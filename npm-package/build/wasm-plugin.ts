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

/** The end of wasm-bindgen's glue: ways to fetch, compile and start that are never used, 2 KB of them. */
const GLUE_INIT = /async function __wbg_load\([\s\S]*$/;

/** In its place: the module is always given, compiled. */
const INIT = `async function __wbg_init({ module_or_path }) {
  wasm ?? __wbg_finalize_init(await WebAssembly.instantiate(module_or_path, __wbg_get_imports()));
}
export { __wbg_init as default };
`;

/** Serves `virtual:client-wasm-inline`, and takes out of wasm-bindgen's glue what is never used. */
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
      handler: (code: string) => {
        if (!GLUE_INIT.test(code)) throw new Error("wasm-bindgen's glue has changed: adapt GLUE_INIT");
        return code.replace(GLUE_INIT, () => INIT);
      },
    },
  };
}
