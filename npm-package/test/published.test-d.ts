/** The published declarations: augmenting the package by its name reaches every entry. */
import service, { createClient, type RealtimeEvent } from "@osbackend/realtime";
import { useWebSocketRoom } from "@osbackend/realtime/react";
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
