/** The entry `.`: the default service and `createClient`; the module is the file beside the script. */
import { RealtimeClient } from "./client.js";
import type { ClientOptions } from "./types.js";
import type { Declared } from "./validators.js";
import { loadCore } from "./wasm-loader.js";
import { besideScript } from "./wasm-sources/beside-script.js";

/** A client of its own. Nothing is loaded or opened before its `connect`. */
export function createClient<E = unknown>(options: ClientOptions<E> = {}): RealtimeClient<Declared<E>> {
  return new RealtimeClient<Declared<E>>(options as ClientOptions<Declared<E>>, () => loadCore(besideScript));
}

/** The client that most applications need one of. */
const service: RealtimeClient = /* @__PURE__ */ createClient();
export default service;

export * from "./entry.js";
