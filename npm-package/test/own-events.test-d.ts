/** Events that an application declares by `createClient<MyEvents>()`: known by name, with their data, everywhere. */
import { object, string } from "valibot";
import { expectTypeOf, test } from "vitest";
import { z } from "zod";
import {
  type AnyRoom,
  type ClientOptions,
  createClient,
  type EventFrame,
  type EventMeta,
  type MetricUpdate,
  type ProtocolError,
  type Published,
  type RealtimeClient,
  type RealtimeEvent,
  type RoomHandle,
} from "../src/index.js";

import {
  createHooks,
  type NewestEvents,
  RealtimeProvider,
  type UnknownEvent,
  useRealtimeClient,
} from "../src/react/index.js";

interface MyEvents {
  order_placed: { orderId: string; total: number };
  stock_low: { sku: string };
}

const client = createClient<MyEvents>({ url: "/ws" });
const room = client.joinRoom("shop:1");

test("names and data in on, once and off, of the client and of its rooms", () => {
  expectTypeOf(client).toEqualTypeOf<RealtimeClient<MyEvents>>();
  expectTypeOf(room).toEqualTypeOf<RoomHandle<MyEvents>>();
  client.on("order_placed", (data) => expectTypeOf(data).toEqualTypeOf<MyEvents["order_placed"]>());
  client.once("stock_low", ({ sku }) => expectTypeOf(sku).toEqualTypeOf<string>());
  room.on("order_placed", (data) => expectTypeOf(data.total).toEqualTypeOf<number>());
  room.once("stock_low", (data) => expectTypeOf(data).toEqualTypeOf<{ sku: string }>());
  const listener = (data: { sku: string }) => data.sku;
  client.off("stock_low", listener);
  room.off("stock_low", listener);
  // The contract's own stay known.
  client.on("metric_update", (data) => expectTypeOf(data).toEqualTypeOf<MetricUpdate>());
  // @ts-expect-error: of another event
  client.off("order_placed", listener);
  // @ts-expect-error: wrong data
  client.on("order_placed", (data: { sku: string }) => data.sku);
  // @ts-expect-error: wrong data
  room.on("order_placed", (data: { sku: string }) => data.sku);
});

test("what isn't declared is no name; a typo doesn't become an unknown event", () => {
  // @ts-expect-error: a typo
  client.on("order_placd", () => {});
  // @ts-expect-error: a typo
  client.once("metric_udpate", () => {});
  // @ts-expect-error: a typo
  room.on("order_placd", () => {});
  // @ts-expect-error: a typo
  room.off("order_placd", () => {});
  // @ts-expect-error: a typo
  client.emit("shop:1", "order_placd", { orderId: "1", total: 1 });
  // @ts-expect-error: only known at run time
  client.on("order_placed" as string, () => {});
  // Without events of its own, a client knows that others exist.
  createClient().on("order_created", (data) => expectTypeOf(data).toEqualTypeOf<Record<string, unknown>>());
});

test("metadata: room, offset, id, time, snapshot, skipped, and the type itself", () => {
  client.on("order_placed", (_, meta) => {
    expectTypeOf(meta).toEqualTypeOf<EventMeta<"order_placed">>();
    expectTypeOf(meta.type).toEqualTypeOf<"order_placed">();
    expectTypeOf(meta.room).toEqualTypeOf<string>();
    expectTypeOf(meta.offset).toEqualTypeOf<number | undefined>();
    expectTypeOf(meta.eventId).toEqualTypeOf<string>();
    expectTypeOf(meta.timestamp).toEqualTypeOf<string>();
    expectTypeOf(meta.snapshot).toEqualTypeOf<boolean | undefined>();
    expectTypeOf(meta.replayed).toEqualTypeOf<boolean | undefined>();
    expectTypeOf(meta.skipped).toEqualTypeOf<number | undefined>();
    // @ts-expect-error: the data is the first argument
    meta.data;
  });
  expectTypeOf<EventMeta>().toExtend<Omit<EventFrame, "data">>();
});

test('"*" is a union of all, which the type narrows', () => {
  client.on("*", (event) => {
    expectTypeOf(event).toEqualTypeOf<RealtimeEvent<MyEvents>>();
    expectTypeOf(event.eventId).toEqualTypeOf<string>();
    if (event.type === "stock_low") expectTypeOf(event.data).toEqualTypeOf<{ sku: string }>();
    if (event.type === "metric_update") expectTypeOf(event.data).toEqualTypeOf<MetricUpdate>();
    // @ts-expect-error: no such event
    if (event.type === "stock_lwo") return;
  });
  room.on("*", (event) => {
    if (event.type === "order_placed") expectTypeOf(event.data.total).toEqualTypeOf<number>();
  });
});

test("a listener for one of several names has to take the data of each", () => {
  const name = "order_placed" as "order_placed" | "stock_low";
  client.on(name, (data) => {
    expectTypeOf(data).toEqualTypeOf<MyEvents["order_placed"] | { sku: string }>();
  });
  // @ts-expect-error: the other may come
  client.on(name, (data: { sku: string }) => data.sku);
});

test("emit takes the event's data, and no name of the system", () => {
  expectTypeOf(room.emit("stock_low", { sku: "a" })).toEqualTypeOf<Promise<Published>>();
  client.emit("shop:1", "order_placed", { orderId: "1", total: 2 }, { idempotencyKey: "k" });
  client.emit("clips:analytics", "clip_played", { clipId: "c", plays: 1 });
  // @ts-expect-error: total is missing
  client.emit("shop:1", "order_placed", { orderId: "1" });
  // @ts-expect-error: total is a number
  room.emit("order_placed", { orderId: "1", total: "2" });
  // @ts-expect-error: the server's own
  client.emit("shop:1", "presence_join", {});
  // @ts-expect-error: the server's own
  room.emit("error", { code: "internal", message: "" });
  // @ts-expect-error: the server's own, for a client without events of its own too
  createClient().emit("shop:1", "authenticated", {});
  createClient().emit("shop:1", "anything_else", { at: "all" });
});

test("protocol_error tells which event, where, and what is wrong", () => {
  client.on("protocol_error", (problem) => {
    expectTypeOf(problem).toEqualTypeOf<ProtocolError>();
    expectTypeOf(problem.event).toEqualTypeOf<string>();
    expectTypeOf(problem.path).toEqualTypeOf<string>();
    expectTypeOf(problem.offset).toEqualTypeOf<number | undefined>();
    expectTypeOf(problem.data).toEqualTypeOf<unknown>();
  });
});

test("validators are typed by the events, or the events are inferred from validators", () => {
  const Order = z.object({ orderId: z.string(), total: z.number() });
  createClient<MyEvents>({ validators: { order_placed: Order, stock_low: () => true } });
  // @ts-expect-error: it checks something else
  createClient<MyEvents>({ validators: { stock_low: Order } });
  // @ts-expect-error: no such event
  createClient<MyEvents>({ validators: { stock_lwo: () => true } });
  // @ts-expect-error: neither of both
  createClient<MyEvents>({ validate: "loose" });

  const inferred = createClient({
    validators: {
      order_placed: Order,
      stock_low: object({ sku: string() }),
      shipped: (data: unknown): data is { parcels: number } => typeof data === "object",
      packed: (data) => data !== null,
    },
  });
  inferred.on("order_placed", (data) => expectTypeOf(data).toEqualTypeOf<MyEvents["order_placed"]>());
  inferred.on("stock_low", (data) => expectTypeOf(data).toEqualTypeOf<{ sku: string }>());
  inferred.on("shipped", (data) => expectTypeOf(data).toEqualTypeOf<{ parcels: number }>());
  inferred.on("packed", (data) => expectTypeOf(data).toEqualTypeOf<Record<string, unknown>>());
  // @ts-expect-error: a typo
  inferred.on("shiped", () => {});
});

test("hooks: once for all by createHooks, or by a type argument", () => {
  const hooks = createHooks<MyEvents>();
  expectTypeOf(hooks.useRealtimeClient()).toEqualTypeOf<RealtimeClient<MyEvents>>();
  expectTypeOf(hooks.useWebSocket("t").service).toEqualTypeOf<RealtimeClient<MyEvents>>();
  hooks.useWebSocketRoom("shop:1", (event) => {
    expectTypeOf(event).toEqualTypeOf<RealtimeEvent<MyEvents>>();
    if (event.type === "stock_low") expectTypeOf(event.data.sku).toEqualTypeOf<string>();
  });
  hooks.useEvent("order_placed", (data, meta) => {
    expectTypeOf(data).toEqualTypeOf<MyEvents["order_placed"]>();
    expectTypeOf(meta).toEqualTypeOf<EventMeta<"order_placed">>();
  });
  hooks.useEvent("shop:1", "stock_low", ({ sku }) => expectTypeOf(sku).toEqualTypeOf<string>());
  hooks.useEvent("protocol_error", (problem) => expectTypeOf(problem).toEqualTypeOf<ProtocolError>());
  const stock = hooks.useRoomState("shop:1", "stock_low", { keyBy: "sku" });
  // @ts-expect-error: no field of it
  hooks.useRoomState("shop:1", "stock_low", { keyBy: "skus" });
  expectTypeOf(stock.events[0]?.data).toEqualTypeOf<{ sku: string } | undefined>();
  expectTypeOf(stock.events[0]?.offset).toEqualTypeOf<number | undefined>();
  hooks.RealtimeProvider({ client });
  // @ts-expect-error: a typo
  hooks.useEvent("order_placd", () => {});
  // @ts-expect-error: a typo
  hooks.useEvent("shop:1", "stock_lo", () => {});
  // @ts-expect-error: a typo
  hooks.useRoomState("shop:1", "stock_lo");
  // @ts-expect-error: wrong data
  hooks.useEvent("shop:1", "stock_low", (data: { total: number }) => data.total);

  expectTypeOf(useRealtimeClient<MyEvents>()).toEqualTypeOf<RealtimeClient<MyEvents>>();
  RealtimeProvider({ client });
  RealtimeProvider<MyEvents>({ options: { validators: { stock_low: () => true } } });
  // Without a map, other names are possible.
  const open = createHooks();
  expectTypeOf(open.useRoomState("shop:1", "anything")).toEqualTypeOf<NewestEvents<UnknownEvent>>();
});

test("options in a variable say nothing of events; any client goes where any is taken", () => {
  const options: ClientOptions = { url: "/ws" };
  expectTypeOf(createClient({ ...options })).toEqualTypeOf<RealtimeClient>();
  expectTypeOf(createClient()).toEqualTypeOf<RealtimeClient>();
  // biome-ignore lint/suspicious/noExplicitAny: it is what is tested
  expectTypeOf(client).toExtend<RealtimeClient<any>>();
  expectTypeOf(room).toExtend<AnyRoom>();
});
