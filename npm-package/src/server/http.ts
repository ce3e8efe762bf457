/** One call to the HTTP API (§9): the key, a time limit, and an error for whatever is no answer of success. */
import { BackendError, ofAnswer } from "./errors.js";

/** Where the server is and who calls. */
export interface Target {
  url: string;
  apiKey: string;
  timeoutMs: number;
  fetch: typeof globalThis.fetch;
}

/** Calls `path`, such as `api/ws/events`, with a body that is JSON already; the answer's JSON. */
export async function call(
  target: Target,
  path: string,
  body?: string,
  closed?: AbortSignal,
): Promise<unknown> {
  const limit = AbortSignal.timeout(target.timeoutMs);
  let response: Response;
  try {
    response = await target.fetch(new URL(path, target.url), {
      method: body === undefined ? "GET" : "POST",
      headers: {
        "X-API-Key": target.apiKey,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body }),
      // A redirect would take the key to another place. Edge runtimes have no "error" here.
      redirect: "manual",
      ...uncached(),
      signal: closed === undefined ? limit : AbortSignal.any([limit, closed]),
    });
  } catch (cause) {
    throw noAnswer(target, limit, cause);
  }
  if (isRedirect(response)) throw redirected(target, response);
  let answer: unknown;
  try {
    answer = await response.json();
  } catch (cause) {
    if (response.ok)
      throw cause instanceof SyntaxError ? noApi(target, cause) : noAnswer(target, limit, cause);
  }
  if (!response.ok) throw ofAnswer(response.status, answer, response.headers.get("Retry-After"));
  return answer;
}

/** Frameworks patch `fetch` and keep what it answered: statistics would be those of an hour ago, and a call would not be made. */
function uncached(): RequestInit {
  try {
    new Request("http://localhost", { cache: "no-store" });
    return { cache: "no-store" };
  } catch {
    // An edge runtime that refuses the field: it caches nothing that doesn't say so itself.
    return {};
  }
}

/** A browser shows no more of a redirect than its type. */
function isRedirect({ status, type }: Response): boolean {
  return type === "opaqueredirect" || (status >= 300 && status < 400);
}

function redirected({ url }: Target, { status, headers }: Response): BackendError {
  const location = headers.get("Location");
  // Its origin is enough, and has no secret in it.
  const where =
    location !== null && URL.canParse(location, url) ? ` to ${new URL(location, url).origin}` : "";
  const message = `${url} redirects${where}: give the server's own address as \`url\`. A redirect is not followed, since the API key would go there`;
  return new BackendError("unavailable", message, { status });
}

function noAnswer({ url, timeoutMs }: Target, limit: AbortSignal, cause: unknown): BackendError {
  const reason = limit.aborted ? `no answer in ${timeoutMs} ms` : reasonOf(cause);
  return new BackendError("unavailable", `can't reach ${url}: ${reason}. Is the server running?`, { cause });
}

/** Something answered, and not as the API does: published or not, nobody knows. */
export function noApi({ url }: Target, cause?: unknown): BackendError {
  const message = `${url} answered with something that is not the API's: is it the address of an osbackend server?`;
  return new BackendError("unavailable", message, { cause });
}

/** Node's fetch says "fetch failed", and why in the cause. */
function reasonOf(thrown: unknown): string {
  const inner = thrown instanceof Error ? thrown.cause : undefined;
  const told = inner instanceof Error ? inner : thrown;
  return told instanceof Error ? told.message || told.name : String(told);
}

/** Whether a call that failed so was never heard by the server. */
export function wasNeverSent({ cause }: BackendError): boolean {
  const inner = cause instanceof Error ? cause.cause : undefined;
  const code = (inner as { code?: unknown } | undefined)?.code;
  return code === "ECONNREFUSED" || code === "ENOTFOUND" || code === "EAI_AGAIN";
}
