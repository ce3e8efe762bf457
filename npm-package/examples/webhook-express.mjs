/** A webhook backend with Express: `WEBHOOK_SECRET=… node webhook-express.mjs`, and the server with `WEBHOOK_URL=http://127.0.0.1:3001/hook`. */
import { rememberDeliveries, verifyWebhook, WebhookError } from "@osbackend/realtime/server";
import express from "express";
import { decide } from "./decide.mjs";

const secret = process.env.WEBHOOK_SECRET ?? "";
const seen = rememberDeliveries();
const app = express();

// The signature is over the bytes as they came: no JSON parser before it.
app.post("/hook", express.raw({ type: "application/json" }), async (request, response) => {
  let asked;
  try {
    asked = await verifyWebhook(request, secret, { seen });
  } catch (error) {
    if (!(error instanceof WebhookError)) throw error;
    response.status(error.status).json({ error: error.message });
    return;
  }
  try {
    response.json(decide(asked));
  } catch (error) {
    // Answered with 500, it comes again.
    seen.forget(asked.deliveryId);
    throw error;
  }
});

const listening = app.listen(Number(process.env.PORT ?? 3001), "127.0.0.1", () => {
  process.stdout.write(`http://127.0.0.1:${listening.address().port}/hook\n`);
});
