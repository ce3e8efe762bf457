/** The module from what the application gives. */
import { fetched } from "./fetched.js";

/** An address (in Node also `file:`), the bytes, or the compiled module. */
export type WasmSource = string | URL | ArrayBuffer | ArrayBufferView<ArrayBuffer> | WebAssembly.Module;

export async function given(
  wasm: WasmSource | Promise<WasmSource> | (() => WasmSource | Promise<WasmSource>),
): Promise<WebAssembly.Module> {
  const source = await (typeof wasm === "function" ? wasm() : wasm);
  if (typeof source === "string" || source instanceof URL) {
    return fetched(new URL(source, globalThis.location?.href));
  }
  return source instanceof WebAssembly.Module ? source : WebAssembly.compile(source);
}
