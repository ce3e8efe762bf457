/** The entry `./inline`: as `.`, with the module inside of the script, so that no second request is made. */
import { RealtimeClient } from "./client.js";
import type { ClientOptions } from "./types.js";
import type { Declared } from "./validators.js";
import { loadCore } from "./wasm-loader.js";
import { inScript } from "./wasm-sources/in-script.js";

/** A client of its own. Nothing is started or opened before its `connect`. */
export function createClient<E = unknown>(options: ClientOptions<E> = {}): RealtimeClient<Declared<E>> {
  return new RealtimeClient<Declared<E>>(options as ClientOptions<Declared<E>>, () => loadCore(inScript));
}

/** The client that most applications need one of; not the one of the entry `.`. */
const service: RealtimeClient = /* @__PURE__ */ createClient();
export default service;

export * from "./entry.js";
