/** The module from an address: fetched, or read where it is a file. */

export async function fetched(url: URL): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await bytesOf(url));
}

async function bytesOf(url: URL): Promise<BufferSource> {
  if (url.protocol === "file:") {
    // Not an import: a bundler for the browser would trip over it.
    const fs = globalThis.process?.getBuiltinModule?.("node:fs/promises");
    if (fs !== undefined) return fs.readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.href} answered ${response.status}`);
  const bytes = await response.arrayBuffer();
  // Many servers answer an unknown path with their index page and status 200.
  if (new Uint8Array(bytes)[0] === 0x3c) throw new Error(`${url.href} answered HTML, and no WebAssembly`);
  return bytes;
}
