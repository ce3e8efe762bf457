/** Checks a webhook's signature (docs/PROTOCOL.md, "Webhooks") before anything in it is believed. */
import type { WebhookRequest } from "./webhook-types.js";

/** Why a request is not taken for one of the server's. */
export type WebhookErrorCode =
  /** A header is missing, or the timestamp is none. */
  | "bad_headers"
  /** Nobody with the secret signed this body. */
  | "bad_signature"
  /** It was signed longer ago than is allowed, or in the future: sent again by someone else, or a clock is wrong. */
  | "bad_timestamp"
  /** The body was parsed, or read, before: its bytes are gone. */
  | "body_gone"
  /** The body is larger than the server's are, or no JSON object. */
  | "bad_body"
  /** This delivery was taken before. */
  | "repeated";

/** A request that must not be believed. Answer it with `status`. */
export class WebhookError extends Error {
  override readonly name = "WebhookError";
  readonly code: WebhookErrorCode;
  /** The HTTP status to answer with; 200 for a delivery that was taken before: the server need not send it again. */
  readonly status: 200 | 400 | 401 | 500;

  constructor(code: WebhookErrorCode, message: string) {
    super(message);
    this.code = code;
    this.status = code === "body_gone" ? 500 : code === "bad_body" ? 400 : code === "repeated" ? 200 : 401;
  }
}

/** A request of Express, of Node's `http`, or anything with headers and the body's bytes. */
export interface NodeLikeRequest {
  headers: Record<string, string | string[] | undefined>;
  /** The bytes as they came (`express.raw({ type: "application/json" })`); left out, the request itself is read. */
  body?: unknown;
}

/** What may be said beside the secret. */
export interface VerifyOptions {
  /** How far the signature's time may be from this clock, in seconds; 300. */
  toleranceSeconds?: number | undefined;
  /** Whether a delivery was taken before; it is asked once the signature is good. See `rememberDeliveries`. */
  seen?: ((deliveryId: string) => boolean | Promise<boolean>) | undefined;
  /** The time, in milliseconds since 1970; for tests. */
  now?: (() => number) | undefined;
}

/** More than the server ever sends. */
const MAX_BYTES = 1024 * 1024;

/**
 * The request, once it is known to be the server's. Takes the `Request` of Fetch, whose body it reads, or that of Express.
 *
 * @throws {WebhookError} it is not, or can't be known to be.
 */
export async function verifyWebhook(
  request: Request | NodeLikeRequest,
  secret: string | readonly string[],
  { toleranceSeconds = 300, seen, now = Date.now }: VerifyOptions = {},
): Promise<WebhookRequest> {
  const secrets = [secret].flat().filter((one) => one !== "");
  if (secrets.length === 0) throw new TypeError("verifyWebhook: give the server's WEBHOOK_SECRET");
  const timestamp = header(request, "x-osbackend-timestamp");
  const signatures = header(request, "x-osbackend-signature");
  if (timestamp === undefined || signatures === undefined || !/^\d{1,15}$/.test(timestamp)) {
    throw new WebhookError(
      "bad_headers",
      "no X-Osbackend-Timestamp and X-Osbackend-Signature: not from an osbackend server",
    );
  }
  const body = await bytesOf(request);
  if (!(await isSigned(secrets, timestamp, body, signatures))) {
    throw new WebhookError(
      "bad_signature",
      "the signature is not of this body and secret: is it the server's WEBHOOK_SECRET?",
    );
  }
  // Behind the signature: only who has the secret learns of our clock.
  if (Math.abs(now() / 1000 - Number(timestamp)) > toleranceSeconds) {
    throw new WebhookError(
      "bad_timestamp",
      `signed more than ${toleranceSeconds} s from now: an old request, or a wrong clock`,
    );
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    parsed = undefined;
  }
  if (typeof parsed !== "object" || parsed === null || typeof (parsed as WebhookRequest).event !== "string") {
    throw new WebhookError("bad_body", "the body is not the JSON of a webhook");
  }
  const webhook = parsed as WebhookRequest;
  if (await seen?.(webhook.deliveryId)) {
    throw new WebhookError("repeated", `delivery ${webhook.deliveryId} was taken before`);
  }
  return webhook;
}

/** What `rememberDeliveries` gives: for `seen` of `verifyWebhook`. */
export interface RememberedDeliveries {
  /** Whether it was taken before; from now on it was. */
  (deliveryId: string): boolean;
  /** For who could not handle it after all: the server sends it again, and it is news then. */
  forget(deliveryId: string): void;
}

/**
 * Remembers deliveries in this process for as long as their signatures are good, at most `limit` of them: for `seen`.
 * Behind several processes keep the ids where all of them look.
 */
export function rememberDeliveries(limit = 100_000, toleranceSeconds = 300): RememberedDeliveries {
  const known = new Map<string, number>();
  const seen = (deliveryId: string) => {
    const now = Date.now();
    const until = known.get(deliveryId);
    if (until !== undefined && until > now) return true;
    // In the order in which they came: the old ones are in front.
    for (const [id, end] of known) {
      if (end > now && known.size < limit) break;
      known.delete(id);
    }
    known.set(deliveryId, now + 2 * toleranceSeconds * 1000);
    return false;
  };
  return Object.assign(seen, { forget: (deliveryId: string) => void known.delete(deliveryId) });
}

function header({ headers }: Request | NodeLikeRequest, name: string): string | undefined {
  if (headers instanceof Headers) return headers.get(name) ?? undefined;
  // Node has them in lower case; what calls functions (API Gateway) as they came.
  const value = headers[name] ?? Object.entries(headers).find(([given]) => given.toLowerCase() === name)?.[1];
  return Array.isArray(value) ? value.join(",") : value;
}

async function bytesOf(request: Request | NodeLikeRequest): Promise<Uint8Array<ArrayBuffer>> {
  if (request.headers instanceof Headers) {
    const { bodyUsed } = request as Request;
    if (bodyUsed) throw gone("the request's body was read before: verify first, or give `request.clone()`");
    const stream = (request as Request).body;
    return stream === null ? new Uint8Array() : read(partsOf(stream));
  }
  const { body } = request as NodeLikeRequest;
  if (typeof body === "string") return limited(new TextEncoder().encode(body));
  if (body instanceof ArrayBuffer) return limited(new Uint8Array(body));
  if (ArrayBuffer.isView(body))
    return limited(new Uint8Array(body.buffer as ArrayBuffer, body.byteOffset, body.byteLength));
  if (body !== undefined) {
    throw gone('the body was parsed before: use express.raw({ type: "application/json" }) for this route');
  }
  return read(request as unknown as AsyncIterable<Uint8Array> & { readableEnded?: boolean });
}

/** Not by the stream's own iterator, which not every runtime has. */
async function* partsOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    // What is too long is not read to its end.
    await reader.cancel();
  }
}

async function read(
  stream: AsyncIterable<Uint8Array> & { readableEnded?: boolean },
): Promise<Uint8Array<ArrayBuffer>> {
  if (typeof stream[Symbol.asyncIterator] !== "function" || stream.readableEnded) {
    throw gone("the request's body was read before: verify first, or keep its bytes as `body`");
  }
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of stream) {
    parts.push(part);
    bytes += part.byteLength;
    if (bytes > MAX_BYTES) throw tooLarge();
  }
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

function limited(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength > MAX_BYTES) throw tooLarge();
  return bytes;
}

function gone(message: string): WebhookError {
  return new WebhookError("body_gone", message);
}

function tooLarge(): WebhookError {
  return new WebhookError("bad_body", `the body is over ${MAX_BYTES} bytes`);
}

/** Whether one of the signatures is one of the secrets'; the comparison is WebCrypto's, in constant time. */
async function isSigned(
  secrets: readonly string[],
  timestamp: string,
  body: Uint8Array<ArrayBuffer>,
  signatures: string,
): Promise<boolean> {
  const text = new TextEncoder();
  const prefix = text.encode(`${timestamp}.`);
  const signed = new Uint8Array(prefix.length + body.length);
  signed.set(prefix);
  signed.set(body, prefix.length);
  const given = signatures.split(",").map((one) => /^v1=((?:[0-9a-f]{2}){32})$/.exec(one.trim())?.[1]);
  for (const secret of secrets) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", text.encode(secret), algorithm, false, ["verify"]);
    for (const hex of given) {
      if (hex === undefined) continue;
      const bytes = Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
      if (await crypto.subtle.verify("HMAC", key, bytes, signed)) return true;
    }
  }
  return false;
}
