/** What a backend client can be told, and what it is where nothing is said. */
import { BackendError } from "./errors.js";

/** Options of {@link createBackend}; everything may be left out where the environment has it. */
export interface BackendOptions {
  /** The server's HTTP address; `OSBACKEND_URL`, else `http://127.0.0.1:8080`. */
  url?: string | undefined;
  /** What `osbackend api-key NAME` printed as the key; the server's `API_KEYS` has its hash only. `OSBACKEND_API_KEY`. */
  apiKey?: string | undefined;
  /** How long one request may take, in milliseconds; 10,000. */
  timeoutMs?: number | undefined;
  /** How long an event is tried, over failures, in milliseconds; 60,000, at most 285,000: the server knows keys for 5 minutes. */
  retryForMs?: number | undefined;
  /** The first pause before a retry, in milliseconds; 250. It doubles, with jitter, up to `retryMaxMs`. */
  retryInitialMs?: number | undefined;
  /** The longest pause before a retry, in milliseconds; 10,000. */
  retryMaxMs?: number | undefined;
  /** Events of one request at most; 500. */
  maxBatch?: number | undefined;
  /** Events that may wait for the server, of each kind of call; 10,000. Past it `queue_full`. */
  queueLimit?: number | undefined;
  /**
   * Told of each event that could not be published. Where it is left out, `console.error` tells of those whose promise nobody
   * looks at.
   */
  onError?: ((error: BackendError, event: { type: string }) => void) | undefined;
  /** The `fetch` to call. */
  fetch?: typeof globalThis.fetch | undefined;
  /** An API key may do everything, and whoever has the page has the key: refused unless this is true. */
  dangerouslyAllowBrowser?: boolean | undefined;
}

/** The server forgets an idempotency key after 5 minutes. */
const MAX_RETRY_FOR_MS = 285_000;

type Complete = {
  [K in keyof Omit<BackendOptions, "dangerouslyAllowBrowser" | "onError">]-?: NonNullable<BackendOptions[K]>;
} & Pick<BackendOptions, "onError">;

/** The options with their defaults. */
export function complete(options: BackendOptions): Complete {
  const env = globalThis.process?.env ?? {};
  const apiKey = options.apiKey ?? env.OSBACKEND_API_KEY;
  const url = options.url ?? env.OSBACKEND_URL ?? "http://127.0.0.1:8080";
  if (!apiKey) {
    throw wrong(
      "an API key is needed: `apiKey`, or OSBACKEND_API_KEY. `osbackend api-key NAME` makes one, and the line for the server's API_KEYS",
    );
  }
  // What can't be in a header: fetch's own error would have the key in it.
  if (!/^[\x21-\x7e]+$/.test(apiKey)) {
    throw wrong(
      "the API key has a space, a line break or a letter beyond ASCII in it: give one of API_KEYS alone",
    );
  }
  if (!options.dangerouslyAllowBrowser && typeof document !== "undefined" && typeof window !== "undefined") {
    throw wrong(
      "an API key doesn't belong into a page: whoever has the page may use it. Call this on your backend",
    );
  }
  const retryForMs = options.retryForMs ?? 60_000;
  if (!(retryForMs >= 0 && retryForMs <= MAX_RETRY_FOR_MS)) {
    throw wrong(`retryForMs is 0 to ${MAX_RETRY_FOR_MS}: the server knows an event's key for 5 minutes`);
  }
  for (const name of ["timeoutMs", "retryInitialMs", "retryMaxMs", "maxBatch", "queueLimit"] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isFinite(value) && value >= 1))
      throw wrong(`${name} is a number from 1 on`);
  }
  return {
    url: base(url),
    apiKey,
    timeoutMs: options.timeoutMs ?? 10_000,
    retryForMs,
    retryInitialMs: options.retryInitialMs ?? 250,
    retryMaxMs: options.retryMaxMs ?? 10_000,
    maxBatch: options.maxBatch ?? 500,
    queueLimit: options.queueLimit ?? 10_000,
    onError: options.onError,
    fetch: options.fetch ?? ((...call) => globalThis.fetch(...call)),
  };
}

/** With a `/` at its end, so that a server below a path works. */
function base(given: string): string {
  let url: URL;
  try {
    url = new URL(given);
  } catch {
    throw wrong(`${JSON.stringify(given)} is no URL: give the server's, such as http://127.0.0.1:8080`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw wrong(`${JSON.stringify(given)}: the HTTP API is at http: or https:, on PORT and on WS_PORT`);
  }
  if (url.username !== "" || url.password !== "") {
    throw wrong("the url has a user or password in it, which fetch refuses: the key goes into `apiKey`");
  }
  url.search = "";
  url.hash = "";
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url.href;
}

function wrong(message: string): BackendError {
  return new BackendError("bad_options", message);
}
