/** The entry `./slim`: the application says where the module is (`@osbackend/realtime/client.wasm`), or gives it. */
import { RealtimeClient } from "./client.js";
import type { ClientOptions } from "./types.js";
import type { Declared } from "./validators.js";
import { loadCore } from "./wasm-loader.js";
import { given, type WasmSource } from "./wasm-sources/given.js";

/** The options of a client whose module is given. */
export interface SlimOptions<E = unknown> extends ClientOptions<E> {
  /** Where the module is, its bytes or the compiled module; a function is called when it is needed. */
  wasm: WasmSource | Promise<WasmSource> | (() => WasmSource | Promise<WasmSource>);
}

/** A client of its own. Nothing is loaded or opened before its `connect`; a page starts one module only, the first. */
export function createClient<E = unknown>({ wasm, ...options }: SlimOptions<E>): RealtimeClient<Declared<E>> {
  return new RealtimeClient<Declared<E>>(options as ClientOptions<Declared<E>>, () =>
    loadCore(() => given(wasm)),
  );
}

export * from "./entry.js";
export type { WasmSource } from "./wasm-sources/given.js";
