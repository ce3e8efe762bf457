/** Fetches and starts the WebAssembly module: once, on demand, and again after a failure. */

import init, { Client } from "../wasm/osbackend_client_wasm.js";
import type { CoreFactory } from "./core.js";

declare const __WASM_PATH__: string;

let loading: Promise<CoreFactory> | undefined;

/** The core's factory. A failure rejects and is forgotten: the next call tries again. */
export function loadCore(): Promise<CoreFactory> {
  loading ??= start().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function start(): Promise<CoreFactory> {
  await init({ module_or_path: await compiled() });
  // Its declarations say of the WebSocket class what no class but the browser's own fulfils.
  return (options, sink) => new Client(options as ConstructorParameters<typeof Client>[0], sink);
}

async function compiled(): Promise<WebAssembly.Module> {
  // Bundlers look for exactly this form, with a literal; the build puts one in.
  const url = new URL(__WASM_PATH__, import.meta.url);
  try {
    return await WebAssembly.compile(await bytesOf(url));
  } catch (error) {
    // A bundler that moved this file without the module (Vite's dependency optimizer up to 7).
    const inline = await import("virtual:client-wasm-inline").catch(() => undefined);
    if (inline === undefined) throw error;
    return WebAssembly.compile(Uint8Array.from(atob(inline.default), (char) => char.charCodeAt(0)));
  }
}

async function bytesOf(url: URL): Promise<BufferSource> {
  if (url.protocol === "file:") {
    // Not an import: a bundler for the browser would trip over it.
    const fs = globalThis.process?.getBuiltinModule?.("node:fs/promises");
    if (fs !== undefined) return fs.readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.href} answered ${response.status}`);
  return response.arrayBuffer();
}
