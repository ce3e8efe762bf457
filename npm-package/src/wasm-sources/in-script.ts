/** The module as text inside of the script: larger, and there without a request of its own. */
import base64 from "virtual:client-wasm-inline";

export function inScript(): Promise<WebAssembly.Module> {
  return WebAssembly.compile(Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)));
}
