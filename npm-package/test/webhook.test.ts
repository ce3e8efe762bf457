/** Webhooks are believed only when the server signed them, in the form of Fetch, Express and Node. */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import {
  rememberDeliveries,
  verifyWebhook,
  type WebhookError,
  type WebhookRequest,
} from "../src/server/index.js";

const SECRET = "shared secret";
const NOW = 1_700_000_000_000;
const webhook = {
  event: "join",
  deliveryId: "d-1",
  timestamp: "2023-11-14T22:13:20.000Z",
  clientId: "c",
  connectionId: "n",
  userId: "ann",
  room: "agent:7",
};
const body = JSON.stringify(webhook);
const now = () => NOW;

function headers(text = body, secret = SECRET, seconds: number | string = NOW / 1000) {
  const signed = createHmac("sha256", secret).update(`${seconds}.${text}`).digest("hex");
  return { "x-osbackend-timestamp": String(seconds), "x-osbackend-signature": `v1=${signed}` };
}

const refusal = (promise: Promise<unknown>): Promise<WebhookError> =>
  promise.then(
    () => expect.fail("it should have been refused"),
    (error) => error as WebhookError,
  );

test("a signature that openssl made", async () => {
  // printf '1700000000.{"event":"x"}' | openssl dgst -sha256 -hmac 'shared secret'
  const signature = "v1=75d3fed75400d13a2ff4e11ba8b352a706fe8938ae06eb62eff111bcea2271c3";
  const given = { "x-osbackend-timestamp": "1700000000", "x-osbackend-signature": signature };
  expect(await verifyWebhook({ headers: given, body: '{"event":"x"}' }, SECRET, { now })).toEqual({
    event: "x",
  });
});

test("the Request of Fetch, Express with express.raw, and a plain request of Node", async () => {
  const fetched = new Request("http://backend/hook", { method: "POST", headers: headers(), body });
  expect(await verifyWebhook(fetched, SECRET, { now })).toEqual(webhook);
  // Buffers are often views into a pool.
  const pooled = Buffer.concat([Buffer.from("before"), Buffer.from(body)]).subarray(6);
  expect(await verifyWebhook({ headers: headers(), body: pooled }, SECRET, { now })).toEqual(webhook);
  // API Gateway gives headers as they came.
  const asGiven = Object.fromEntries(
    Object.entries(headers()).map(([name, value]) => [
      name.replace(/x-osbackend-(.)/, (_, c) => `X-Osbackend-${c.toUpperCase()}`),
      value,
    ]),
  );
  expect(await verifyWebhook({ headers: asGiven, body }, SECRET, { now })).toEqual(webhook);
  const verified: WebhookRequest[] = [];
  const server = createServer(async (request, response) => {
    verified.push(await verifyWebhook(request, SECRET, { now }));
    response.end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await fetch(`http://127.0.0.1:${port}/`, { method: "POST", headers: headers(), body });
  server.close();
  expect(verified).toEqual([webhook]);
});

test("what the server didn't sign so is refused, and why is told", async () => {
  const check = (given: Record<string, string>, text = body, secret: string | string[] = SECRET) =>
    refusal(verifyWebhook({ headers: given, body: text }, secret, { now }));
  expect(await check({})).toMatchObject({ code: "bad_headers", status: 401 });
  expect(await check({ ...headers(), "x-osbackend-timestamp": "soon" })).toMatchObject({
    code: "bad_headers",
  });
  expect(await check(headers(), `${body} `)).toMatchObject({ code: "bad_signature", status: 401 });
  expect(await check(headers(), body, "another")).toMatchObject({ code: "bad_signature" });
  expect(await check({ ...headers(), "x-osbackend-timestamp": "1700000001" })).toMatchObject({
    code: "bad_signature",
  });
  for (const signature of ["", "v1=", "v0=ab", headers()["x-osbackend-signature"].slice(3), "v1=zz"]) {
    const refused = await check({ ...headers(), "x-osbackend-signature": signature });
    expect(refused.code, signature).toBe("bad_signature");
  }
  for (const seconds of [NOW / 1000 - 301, NOW / 1000 + 301]) {
    expect(await check(headers(body, SECRET, seconds))).toMatchObject({ code: "bad_timestamp", status: 401 });
  }
  expect(await check(headers("no json"), "no json")).toMatchObject({ code: "bad_body", status: 400 });
  expect(await check(headers("[]"), "[]")).toMatchObject({ code: "bad_body" });
  const large = JSON.stringify({ event: "x", pad: "x".repeat(1024 * 1024) });
  expect(await check(headers(large), large)).toMatchObject({ code: "bad_body" });
});

test("a body that something else has read can't be verified, and the error says what to do", async () => {
  const express = refusal(verifyWebhook({ headers: headers(), body: webhook }, SECRET, { now }));
  expect(await express).toMatchObject({ code: "body_gone", status: 500 });
  expect((await express).message).toContain("express.raw");
  const read = new Request("http://backend/hook", { method: "POST", headers: headers(), body });
  await read.text();
  expect((await refusal(verifyWebhook(read, SECRET, { now }))).message).toContain("request.clone()");
  await expect(verifyWebhook({ headers: headers(), body }, "", { now })).rejects.toThrow("WEBHOOK_SECRET");
});

test("a body over the limit is not read to its end", async () => {
  let pulled = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled += 1;
      controller.enqueue(new Uint8Array(64 * 1024));
    },
  });
  const init = { method: "POST", headers: headers(), body: endless, duplex: "half" };
  const request = new Request("http://backend/hook", init as RequestInit);
  expect(await refusal(verifyWebhook(request, SECRET, { now }))).toMatchObject({ code: "bad_body" });
  expect(pulled).toBeLessThan(25);
});

test("while a secret is changed either is good, on both sides", async () => {
  expect(await verifyWebhook({ headers: headers(), body }, ["new secret", SECRET], { now })).toEqual(webhook);
  const both = {
    ...headers(),
    "x-osbackend-signature": `v1=${"00".repeat(32)}, ${headers()["x-osbackend-signature"]}`,
  };
  expect(await verifyWebhook({ headers: both, body }, SECRET, { now })).toEqual(webhook);
});

test("a delivery that comes again is refused, and only deliveries that are real are remembered", async () => {
  const seen = rememberDeliveries(2);
  const options = { now, seen };
  const bad = { ...headers(), "x-osbackend-signature": `v1=${"00".repeat(32)}` };
  await refusal(verifyWebhook({ headers: bad, body }, SECRET, options));
  await verifyWebhook({ headers: headers(), body }, SECRET, options);
  const again = await refusal(verifyWebhook({ headers: headers(), body }, SECRET, options));
  expect(again).toMatchObject({ code: "repeated", status: 200 });
  seen.forget("d-1");
  expect(await verifyWebhook({ headers: headers(), body }, SECRET, options)).toEqual(webhook);
  // Bounded: the oldest goes.
  expect([seen("d-2"), seen("d-3"), seen("d-1"), seen("d-3")]).toEqual([false, false, false, true]);
});
