/** Starts the WebAssembly module: once, on demand, whichever entry asks first, and again after a failure. */

import init, { Client } from "../wasm/osbackend_client_wasm.js";
import type { CoreFactory } from "./core.js";
import { messageOf, RealtimeError } from "./errors.js";

let loading: Promise<CoreFactory> | undefined;

/** The core's factory, made of what `compile` gives. A failure rejects and is forgotten: the next call tries again. */
export function loadCore(compile: () => Promise<WebAssembly.Module>): Promise<CoreFactory> {
  loading ??= start(compile).catch((error: unknown) => {
    loading = undefined;
    throw explained(error);
  });
  return loading;
}

/** Where it is the browser or the page that forbids the module, what to set. */
function explained(error: unknown): unknown {
  if (typeof WebAssembly === "undefined")
    return new RealtimeError(
      "no_webassembly",
      "this browser has no WebAssembly (Lockdown Mode?): allow it for this site",
      { cause: error },
    );
  // As the engines say it; none of them has a type of error for it.
  if (/content.security|\bCSP\b|unsafe-eval/i.test(messageOf(error)))
    return new RealtimeError(
      "wasm_blocked",
      "the page's CSP forbids WebAssembly: add 'wasm-unsafe-eval' to script-src",
      { cause: error },
    );
  return error;
}

async function start(compile: () => Promise<WebAssembly.Module>): Promise<CoreFactory> {
  await init({ module_or_path: await compile() });
  // Its declarations say of the WebSocket class what no class but the browser's own fulfils.
  return (options, sink) => new Client(options as ConstructorParameters<typeof Client>[0], sink);
}
