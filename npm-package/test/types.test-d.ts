/** The types: what each name carries, what augmentation adds, what must not compile. */
import { expectTypeOf, test } from "vitest";
import service, {
  type AgentStatusChange,
  type ConnectionState,
  type EventOf,
  type Metrics,
  type MetricUpdate,
  type MetricValue,
  type Presence,
  type Published,
  type RealtimeError,
  type RealtimeErrorCode,
  type RealtimeEvent,
  type RoomPresence,
} from "../src/index.js";
import {
  type NewestEvents,
  type UnknownEvent,
  useConnectionState,
  useEvent,
  usePresence,
  useRoomState,
  useWebSocketMetrics,
  useWebSocketRoom,
} from "../src/react/index.js";

declare module "../src/index.js" {
  interface RealtimeEvents {
    order_placed: { orderId: string; total: number };
  }
}

test("listeners are typed by name", () => {
  service.on("metric_update", (data, meta) => {
    expectTypeOf(data).toEqualTypeOf<MetricUpdate>();
    expectTypeOf(meta.offset).toEqualTypeOf<number | undefined>();
    expectTypeOf(meta.room).toEqualTypeOf<string>();
  });
  service.once("state", (state) => expectTypeOf(state).toEqualTypeOf<ConnectionState>());
  service.on("error", (error) => expectTypeOf(error).toEqualTypeOf<RealtimeError>());
  service.on("draining", (data) => expectTypeOf(data.reconnectAfterMs).toEqualTypeOf<number>());
  service.on("unheard_of", (data) => expectTypeOf(data).toEqualTypeOf<Record<string, unknown>>());
  expectTypeOf(service.on("metric_update", () => {})).toEqualTypeOf<() => void>();
  // @ts-expect-error: a known name with a wrong listener doesn't slip through as an unknown one
  service.on("metric_update", (data: { wrong: number }) => data.wrong);
});

test("augmented events are known everywhere", () => {
  service.on("order_placed", (data) => expectTypeOf(data.total).toEqualTypeOf<number>());
  const room = service.joinRoom("shop:1");
  room.on("order_placed", (data) => expectTypeOf(data.orderId).toEqualTypeOf<string>());
  expectTypeOf(room.emit("order_placed", { orderId: "1", total: 2 })).toEqualTypeOf<Promise<Published>>();
  // @ts-expect-error: total is missing
  room.emit("order_placed", { orderId: "1" });
  // @ts-expect-error: total is missing
  service.emit("shop:1", "order_placed", { orderId: "1" });
  service.emit("shop:1", "anything_else", { at: "all" });
});

test("an event of a room is a union that its type narrows", () => {
  useWebSocketRoom("dashboard:overview", (event) => {
    expectTypeOf(event).toEqualTypeOf<RealtimeEvent>();
    if (event.type === "agent_status_change") expectTypeOf(event.data).toEqualTypeOf<AgentStatusChange>();
    if (event.type === "order_placed") expectTypeOf(event.data.total).toEqualTypeOf<number>();
    expectTypeOf(event.snapshot).toEqualTypeOf<boolean | undefined>();
    expectTypeOf(event.replayed).toEqualTypeOf<boolean | undefined>();
  });
});

test("requests take their payload and give their reply", () => {
  expectTypeOf(service.request("metrics:get", { type: "voice_call" })).toEqualTypeOf<Promise<Metrics>>();
  expectTypeOf(service.request("metrics:get")).toEqualTypeOf<Promise<Metrics>>();
  void service.request("metrics:get", { interval: "1d", tz: "Europe/Berlin", cursor: "x" });
  void service.request("metrics:get", { interval: "15m" });
  expectTypeOf<Metrics["truncated"]>().toEqualTypeOf<boolean | undefined>();
  // @ts-expect-error: there is no such interval
  void service.request("metrics:get", { interval: "2m" });
  expectTypeOf(service.request("presence:get", { room: "agent:7" })).toEqualTypeOf<Promise<Presence>>();
  expectTypeOf(service.request("shop:stock", { sku: "1" })).toEqualTypeOf<Promise<Record<string, unknown>>>();
  expectTypeOf(service.request<{ stock: number }>("shop:stock")).toEqualTypeOf<Promise<{ stock: number }>>();
  // @ts-expect-error: the room is required
  service.request("presence:get");
});

test("metrics are keyed by the names asked for", () => {
  const metrics = useWebSocketMetrics(["voice_call"]);
  expectTypeOf(metrics.voice_call?.values).toEqualTypeOf<Readonly<Record<string, MetricValue>> | undefined>();
  expectTypeOf(metrics.loading).toEqualTypeOf<boolean>();
  expectTypeOf(metrics.error?.code).toEqualTypeOf<RealtimeErrorCode | undefined>();
  // @ts-expect-error: not asked for
  metrics.call_cost;
  const some = useWebSocketMetrics(["a"] as string[]);
  expectTypeOf(some.anything?.timestamp).toEqualTypeOf<string | undefined>();
  // @ts-expect-error: a name that the answer has itself
  useWebSocketMetrics(["voice_call", "error"]);
});

test("the state narrows by its status", () => {
  const { state } = service;
  if (state.status === "connected") expectTypeOf(state.clientId).toEqualTypeOf<string>();
  if (state.status === "reconnecting") expectTypeOf(state.retryAtMs).toEqualTypeOf<number | undefined>();
});

test("presence: who, how many, and what a hook gives", () => {
  const presence = service.presence.get("agent:7");
  expectTypeOf(presence.users[0]?.userId).toEqualTypeOf<string | undefined>();
  expectTypeOf(presence.loading).toEqualTypeOf<boolean>();
  expectTypeOf(service.joinRoom("agent:7").presence).toEqualTypeOf<RoomPresence>();
  expectTypeOf(usePresence).returns.toEqualTypeOf<RoomPresence>();
});

test("useRoomState gives the events of the type asked for, all of them or one", () => {
  const agents = useRoomState("dashboard:overview", "agent_status_change");
  expectTypeOf(agents).toEqualTypeOf<NewestEvents<EventOf<"agent_status_change">>>();
  expectTypeOf(agents.byKey.get("7")?.data).toEqualTypeOf<AgentStatusChange | undefined>();
  const { event } = useRoomState(null, "order_placed", {
    key: ["a", undefined],
    keyBy: ["orderId", "total"],
  });
  expectTypeOf(event?.data.total).toEqualTypeOf<number | undefined>();
  expectTypeOf(event?.offset).toEqualTypeOf<number | undefined>();
  expectTypeOf(useRoomState("shop:1", "unheard_of")).toEqualTypeOf<NewestEvents<UnknownEvent>>();
  expectTypeOf(useRoomState("shop:1", "unheard_of", { key: "" }).event).toEqualTypeOf<
    UnknownEvent | undefined
  >();
  useRoomState("dashboard:overview", "agent_status_change", { keyBy: "status" });
  useRoomState("shop:1", "unheard_of", { keyBy: "anything" });
  // @ts-expect-error: no field of it
  useRoomState("dashboard:overview", "agent_status_change", { keyBy: "agentID" });
  // @ts-expect-error: no field of it
  useRoomState("dashboard:overview", "agent_status_change", { keyBy: ["agentId", "state"], key: ["7", "x"] });
  // @ts-expect-error: no field of an event of one's own
  useRoomState("shop:1", "order_placed", { keyBy: "orderID" });
  // @ts-expect-error: one key has no list of events
  useRoomState("dashboard:overview", "agent_status_change", { key: "7" }).events;
});

test("useEvent types its handler by the name, in a room and anywhere", () => {
  useEvent("metric_update", (data, meta) => {
    expectTypeOf(data).toEqualTypeOf<MetricUpdate>();
    expectTypeOf(meta.eventId).toEqualTypeOf<string>();
  });
  useEvent("state", (state) => expectTypeOf(state).toEqualTypeOf<ConnectionState>());
  useEvent("agent:7", "order_placed", ({ total }) => expectTypeOf(total).toEqualTypeOf<number>());
  useEvent(null, "presence_join", (data) => expectTypeOf(data.userId).toEqualTypeOf<string>());
  useEvent("agent:7", "unheard_of", (data) => expectTypeOf(data).toEqualTypeOf<Record<string, unknown>>());
  // @ts-expect-error: a known name with a wrong handler doesn't slip through as an unknown one
  useEvent("agent:7", "metric_update", (data: { wrong: number }) => data.wrong);
});

test("useConnectionState gives the state, or what is selected of it", () => {
  expectTypeOf(useConnectionState()).toEqualTypeOf<ConnectionState>();
  expectTypeOf(useConnectionState((state) => state.status === "connected")).toEqualTypeOf<boolean>();
});
