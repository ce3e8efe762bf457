/** A file server without any cleverness, and where a test wants it, one that loses a file or gets its type wrong. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css",
  ".wasm": "application/wasm",
  ".json": "application/json",
};

/** How the module is answered in place of what it is. */
export type WasmAnswer = { status?: number; type?: string; body?: string };

export interface FileServer {
  /** Without a slash at the end. */
  url: string;
  stop(): Promise<void>;
}

export async function serveFiles(root: string, wasm: WasmAnswer = {}): Promise<FileServer> {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const path = join(root, normalize(decodeURIComponent(pathname)));
    const type = extname(path);
    const body = await readFile(path).catch(() => undefined);
    if (body === undefined) {
      response.writeHead(404).end("not found");
    } else if (type === ".wasm") {
      const head = { "content-type": wasm.type ?? "application/wasm" };
      response.writeHead(wasm.status ?? 200, head).end(wasm.body ?? body);
    } else {
      response.writeHead(200, { "content-type": TYPES[type] ?? "application/octet-stream" }).end(body);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
