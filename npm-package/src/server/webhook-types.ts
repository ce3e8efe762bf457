/** What the server asks and tells a backend by webhook, and what it may answer (docs/PROTOCOL.md, "Webhooks"). */
import type { ErrorCode } from "../generated/protocol.js";

/** Fields of every webhook. */
export interface WebhookBase {
  /** A notification that comes twice has the same. */
  deliveryId: string;
  /** When it happened. */
  timestamp: string;
  /** Kept when a client resumes. */
  clientId: string;
  /** New with each connection. */
  connectionId: string;
  userId?: string;
  role?: string;
}

/** A webhook by its `event`. All but `disconnect` are questions, which want a {@link WebhookAnswer}. */
export type WebhookRequest = WebhookBase &
  (
    | { event: "connect"; resumed: boolean }
    | { event: "join"; room: string }
    | { event: "publish"; room: string; type: string; data: Record<string, unknown> }
    | { event: "presence"; room: string }
    | { event: "history"; room: string }
    | { event: "custom"; type: string; payload?: unknown }
    | { event: "disconnect" }
  );

/** An event to publish before the request takes effect, whatever is decided. */
export type WebhookPublish = ({ room: string } | { userId: string }) & {
  type: string;
  data?: Record<string, unknown>;
};

/** The JSON to answer a question with; nothing but `allow: true` is a yes. */
export interface WebhookAnswer {
  allow?: boolean;
  deny?: { code?: ErrorCode; message?: string };
  /** To `custom`: the answer that the client gets. */
  reply?: { type?: string; data?: unknown };
  publish?: WebhookPublish[];
}
