/** The published declarations: augmenting the package by its name reaches every entry. */
import service, { createClient, type RealtimeClient, type RealtimeEvent } from "@osbackend/realtime";
import { useWebSocketRoom } from "@osbackend/realtime/react";
import { createClient as createSlim } from "@osbackend/realtime/slim";
import { expectTypeOf, test } from "vitest";

declare module "@osbackend/realtime" {
  interface RealtimeEvents {
    shipment_sent: { parcels: number };
  }
}

test("the augmented event is known to the client, to rooms and to the hooks", () => {
  service.on("shipment_sent", (data) => expectTypeOf(data).toEqualTypeOf<{ parcels: number }>());
  createClient()
    .joinRoom("shop:1")
    .on("shipment_sent", (data) => expectTypeOf(data.parcels).toEqualTypeOf<number>());
  useWebSocketRoom("shop:1", (event) => {
    expectTypeOf(event).toEqualTypeOf<RealtimeEvent>();
    if (event.type === "shipment_sent") expectTypeOf(event.data.parcels).toEqualTypeOf<number>();
  });
  // @ts-expect-error: what is not in the data doesn't compile
  service.on("shipment_sent", (data) => data.letters);
});

test("events by a type argument, beside the augmented ones, from each entry", () => {
  interface Mine {
    stock_low: { sku: string };
  }
  const client = createClient<Mine>();
  expectTypeOf(client).toEqualTypeOf<RealtimeClient<Mine>>();
  expectTypeOf(createSlim<Mine>({ wasm: "/client.wasm" })).toEqualTypeOf<RealtimeClient<Mine>>();
  client.on("stock_low", (data, meta) => {
    expectTypeOf(data).toEqualTypeOf<{ sku: string }>();
    expectTypeOf(meta.type).toEqualTypeOf<"stock_low">();
  });
  client.on("shipment_sent", (data) => expectTypeOf(data.parcels).toEqualTypeOf<number>());
  client.on("protocol_error", (problem) => expectTypeOf(problem.path).toEqualTypeOf<string>());
  // @ts-expect-error: a typo
  client.on("stock_lo", () => {});
  // @ts-expect-error: wrong data
  client.emit("shop:1", "stock_low", { sku: 7 });
  const inferred = createClient({
    validators: { counted: (data: unknown): data is { n: number } => typeof data === "object" },
  });
  inferred.on("counted", (data) => expectTypeOf(data).toEqualTypeOf<{ n: number }>());
});
