/** From what the user gave to what the core needs: the endpoint settled, nothing undefined. */
import type { CoreOptions } from "./core.js";
import { RealtimeError } from "./errors.js";
import type { ClientOptions } from "./types.js";

declare const __VERSION__: string;

/** The options for a core. Throws `bad_options` where no endpoint can be made of them. */
export function coreOptions(options: ClientOptions): CoreOptions {
  const { validate: _, validators: __, user: ___, ...known } = options;
  const given = Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
  if (typeof (options.WebSocket ?? globalThis.WebSocket) !== "function") {
    throw new RealtimeError(
      "bad_options",
      "there is no WebSocket here: give a class as WebSocket (Node: that of ws)",
    );
  }
  return {
    batch: true,
    client: `@osbackend/realtime ${__VERSION__}`,
    ...given,
    url: endpoint(options.url),
    WebSocket: tolerant(options.WebSocket),
  };
}

/**
 * In Node a socket without a listener for "error" ends the process. Where it led to, and what it tells (`ECONNREFUSED`; browsers say
 * nothing), is kept for who reports that it never opened.
 */
function tolerant(given: unknown): unknown {
  return function WebSocket(url: string, protocols?: string) {
    const Socket = (given ?? globalThis.WebSocket) as new (url: string, protocols?: string) => FailingSocket;
    const socket = new Socket(url, protocols);
    const { origin, pathname } = new URL(url);
    // Without what may be secret in it.
    socket.unreachable = `can't reach ${origin}${pathname}`;
    socket.onerror = ({ message }) => {
      if (message) socket.unreachable += `: ${message}`;
    };
    return socket;
  };
}

interface FailingSocket {
  onerror: ((event: { message?: string }) => void) | null;
  unreachable?: string;
}

/** Whether a core made for the one would serve the other. */
export function sameOptions(a: ClientOptions, b: ClientOptions): boolean {
  // Validators are looked up with each event: the newest are used without a new connection.
  const key = ({ WebSocket: _, validators: __, user: ___, backoff = {}, ...rest }: ClientOptions) =>
    JSON.stringify(
      [rest, backoff].map((part) =>
        Object.entries(part)
          .filter(([, value]) => value !== undefined)
          .sort(),
      ),
    );
  return a.WebSocket === b.WebSocket && key(a) === key(b);
}

/** An absolute `ws:` or `wss:` URL. */
function endpoint(url: string | URL = "/ws"): string {
  const page = globalThis.location?.href;
  let absolute: URL;
  try {
    absolute = new URL(url, page);
  } catch (cause) {
    throw new RealtimeError(
      "bad_options",
      `${url} is no endpoint: outside of a page give a full ws: or wss: url`,
      {
        cause,
      },
    );
  }
  absolute.protocol = absolute.protocol.replace("http", "ws");
  if (absolute.protocol !== "ws:" && absolute.protocol !== "wss:") {
    throw new RealtimeError("bad_options", `${url} is no endpoint: give a ws: or wss: url`);
  }
  absolute.hash = "";
  return absolute.href;
}
