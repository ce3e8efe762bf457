/** Every entry, typed: compiled under each way to resolve modules, the package's own declarations included. */
import service, { CLOSE_CODES, createClient, type RealtimeClient } from "@osbackend/realtime";
import inline from "@osbackend/realtime/inline";
import { RealtimeProvider, useWebSocketRoom } from "@osbackend/realtime/react";
import { createClient as slim } from "@osbackend/realtime/slim";

declare module "@osbackend/realtime" {
  interface RealtimeEvents {
    parcel_sent: { weight: number };
  }
}

// One class, whichever entry made the client.
const clients: RealtimeClient[] = [
  service,
  inline,
  createClient(),
  slim({ wasm: new URL("https://cdn.example/client.wasm") }),
];
for (const client of clients) client.on("parcel_sent", ({ weight }) => weight.toFixed(CLOSE_CODES.restart));

// @ts-expect-error: it has to be given a module
slim({});

export function Parcels() {
  useWebSocketRoom("parcel:1", (event) => {
    if (event.type === "parcel_sent") event.data.weight.toFixed();
  });
  return <RealtimeProvider client={clients[3] as RealtimeClient} token={() => "t"} />;
}
