/** A webhook backend for whatever speaks Fetch (Next.js routes, Hono, Deno, Bun, workers): one function from request to response. */
import { verifyWebhook, WebhookError } from "@osbackend/realtime/server";
import { decide } from "./decide.mjs";

/** @param {Request} request */
export async function POST(request) {
  try {
    return Response.json(decide(await verifyWebhook(request, process.env.WEBHOOK_SECRET ?? "")));
  } catch (error) {
    if (!(error instanceof WebhookError)) throw error;
    return Response.json({ error: error.message }, { status: error.status });
  }
}
