/** `@osbackend/realtime/server`: for backends in Node and other runtimes with `fetch`. Publishes by HTTP, verifies webhooks. */
import { createBackend as create, type RealtimeBackend } from "./backend.js";

export type { Broadcasted, EmitOptions, Emitted, WebSocketStats } from "./backend.js";
export { createBackend, RealtimeBackend } from "./backend.js";
export type { BackendErrorCode, BackendErrorDetails } from "./errors.js";
export { BackendError } from "./errors.js";
export type { BackendOptions } from "./options.js";
export type { NodeLikeRequest, RememberedDeliveries, VerifyOptions, WebhookErrorCode } from "./webhook.js";
export { rememberDeliveries, verifyWebhook, WebhookError } from "./webhook.js";
export type { WebhookAnswer, WebhookBase, WebhookPublish, WebhookRequest } from "./webhook-types.js";

let shared: RealtimeBackend | undefined;

/** The backend that the environment describes (`OSBACKEND_URL`, `OSBACKEND_API_KEY`), made when it is first used. */
const backend: RealtimeBackend = /* @__PURE__ */ new Proxy({} as RealtimeBackend, {
  get(_, name) {
    // Asked of any object by who awaits, prints or compares it: no use, and no reason to fail for want of a key.
    if (typeof name === "symbol" || name === "then") return undefined;
    shared ??= create();
    return Reflect.get(shared, name, shared);
  },
});

export default backend;
