/** Starts the WebAssembly module: once, on demand, whichever entry asks first, and again after a failure. */

import init, { Client } from "../wasm/osbackend_client_wasm.js";
import type { CoreFactory } from "./core.js";

let loading: Promise<CoreFactory> | undefined;

/** The core's factory, made of what `compile` gives. A failure rejects and is forgotten: the next call tries again. */
export function loadCore(compile: () => Promise<WebAssembly.Module>): Promise<CoreFactory> {
  loading ??= start(compile).catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function start(compile: () => Promise<WebAssembly.Module>): Promise<CoreFactory> {
  await init({ module_or_path: await compile() });
  // Its declarations say of the WebSocket class what no class but the browser's own fulfils.
  return (options, sink) => new Client(options as ConstructorParameters<typeof Client>[0], sink);
}
