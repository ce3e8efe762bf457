// @vitest-environment happy-dom
/** `useRoomState` and `useEvent` over a fake core: snapshots, keys, reconnects, users, and who renders when. */
import { act, cleanup, renderHook } from "@testing-library/react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { RealtimeClient } from "../src/client.js";
import {
  RealtimeProvider,
  type RoomStateOptions,
  useConnectionState,
  useEvent,
  useRoomState,
  useWebSocketRoom,
} from "../src/react/index.js";
import { type FakeCore, fakeClient } from "./fake-core.js";

const ROOM = "dashboard:overview";
const GRACE = 500;
(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

function inside(client: RealtimeClient) {
  return ({ children }: { children: React.ReactNode }) => (
    <RealtimeProvider client={client}>{children}</RealtimeProvider>
  );
}

/** What `happen` does, and the frame after it. */
function frame(happen: () => void): Promise<void> {
  return act(async () => {
    happen();
    await new Promise((resolve) => requestAnimationFrame(resolve));
  });
}

function joined(core: FakeCore, snapshotDue?: number, recovered = false): void {
  const due = snapshotDue === undefined ? {} : { snapshotDue };
  core.room({ room: ROOM, status: "joined", epoch: "e", offset: 9, recovered, ...due });
}

let offset = 0;
function agent(core: FakeCore, agentId: string, status: string, snapshot = false): void {
  offset += 1;
  const mark = snapshot ? { snapshot: true } : {};
  const data = { agentId, status };
  const timestamp = "2026-01-01T00:00:00.000Z";
  core.sink.event(
    { type: "agent_status_change", data, room: ROOM, offset, eventId: `a${offset}`, timestamp, ...mark },
    true,
  );
}

/** The hook's answers, as `loading 7:busy`. */
function watchAgents(client: RealtimeClient) {
  let renders = 0;
  const hook = renderHook(
    () => {
      renders += 1;
      return useRoomState(ROOM, "agent_status_change");
    },
    { wrapper: inside(client) },
  );
  return {
    ...hook,
    renders: () => renders,
    shown: () =>
      [
        hook.result.current.loading ? "loading" : "",
        ...hook.result.current.events.map(({ data }) => `${data.agentId}:${data.status}`),
      ].join(" "),
  };
}

test("loading until the snapshot is complete; then the newest of each key, in the order of the keys", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const { result, shown } = watchAgents(client);
  expect(shown()).toBe("loading");
  await frame(() => {
    joined(core, 3);
    agent(core, "b", "busy", true);
    agent(core, "a", "online", true);
  });
  expect(shown()).toBe("loading a:online b:busy");
  await frame(() => agent(core, "c", "error", true));
  expect(shown()).toBe(" a:online b:busy c:error");
  await frame(() => {
    agent(core, "b", "offline");
    agent(core, "b", "online");
    core.event("clip_played", { clipId: "x", plays: 1 });
  });
  expect(shown()).toBe(" a:online b:online c:error");
  expect(result.current.byKey.get("b")).toMatchObject({ type: "agent_status_change", room: ROOM, offset });
  expect(result.current.recovered).toBe(false);
  expect(core.count("join")).toBe(1);
});

test("a snapshot whose last event is kept from listeners (validate) is complete all the same", async () => {
  const { client, live } = fakeClient({ url: "ws://h/ws", validate: "strict" });
  client.on("protocol_error", () => {});
  const core = await live();
  const { shown } = watchAgents(client);
  await frame(() => {
    joined(core, 2);
    agent(core, "a", "online", true);
  });
  expect(shown()).toBe("loading a:online");
  await frame(() => agent(core, "b", "", true));
  expect(shown()).toBe(" a:online");
  // The next snapshot replaces what is known, also where its last event is a bad one.
  await frame(() => {
    joined(core, 2);
    agent(core, "c", "online", true);
    agent(core, "b", "", true);
  });
  expect(shown()).toBe(" c:online");
});

test("the same object until something of it changes; one render for a frame's events", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const { result, rerender, renders } = watchAgents(client);
  await frame(() => {
    joined(core);
    agent(core, "a", "online");
  });
  const before = result.current;
  await frame(() => core.event("clip_played", { clipId: "x", plays: 1 }));
  rerender();
  expect(result.current).toBe(before);
  const count = renders();
  await frame(() => {
    for (let n = 0; n < 1000; n += 1) agent(core, `a${n % 50}`, "busy");
  });
  expect(renders()).toBe(count + 1);
  expect(result.current.events).toHaveLength(51);
});

test("a component that comes later has it at its first render, also where the application joined the room", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  client.joinRoom(ROOM);
  joined(core, 1);
  agent(core, "a", "online", true);
  agent(core, "a", "busy");
  const { shown, renders } = watchAgents(client);
  expect([shown(), renders()]).toEqual([" a:busy", 1]);
  const second = watchAgents(client);
  expect([second.shown(), second.renders()]).toEqual([" a:busy", 1]);
  expect(core.count("join")).toBe(1);
});

test("over a reconnect the old stays until the new snapshot is there, and what it lacks is gone", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const { result, shown } = watchAgents(client);
  await frame(() => {
    joined(core, 2);
    agent(core, "a", "online", true);
    agent(core, "b", "online", true);
  });
  await frame(() => core.lost());
  expect(shown()).toBe("loading a:online b:online");
  await frame(() => {
    core.connected();
    joined(core, undefined, true);
  });
  expect(shown()).toBe(" a:online b:online");
  expect(result.current.recovered).toBe(true);
  await frame(() => core.lost());
  await frame(() => {
    core.connected();
    joined(core, 2);
    agent(core, "b", "busy", true);
  });
  expect(shown()).toBe("loading a:online b:busy");
  await frame(() => agent(core, "c", "busy", true));
  expect(shown()).toBe(" b:busy c:busy");
  await frame(() => joined(core));
  expect(shown()).toBe("");
});

test("one key: renders for no other", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  let renders = 0;
  const { result } = renderHook(
    () => {
      renders += 1;
      return useRoomState(ROOM, "agent_status_change", { key: "a" });
    },
    { wrapper: inside(client) },
  );
  await frame(() => joined(core));
  await frame(() => agent(core, "a", "online"));
  expect(result.current).toMatchObject({ loading: false, event: { data: { status: "online" } } });
  const count = renders;
  await frame(() => {
    for (let n = 0; n < 100; n += 1) agent(core, "b", `${n}`);
  });
  expect(renders).toBe(count);
  await frame(() => agent(core, "a", "busy"));
  expect([renders, result.current.event?.data.status]).toEqual([count + 1, "busy"]);
});

test("a field of keyBy that the data doesn't have is told in development: once, with those that it has", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const watch = (keyBy: string | readonly string[]) =>
    renderHook(() => useRoomState(ROOM, "parcel_sent" as string, { keyBy }), { wrapper: inside(client) });
  watch("parcelID");
  watch(["parcelId", "carrier"]);
  await frame(() => joined(core));
  const send = () => core.event("parcel_sent", { parcelId: "1", carrier: undefined }, ROOM);
  await frame(send);
  await frame(send);
  const advice = expect.stringMatching(
    /keyBy names "parcelID", which .*"parcel_sent".* it has parcelId, carrier/,
  );
  expect(warn.mock.calls).toEqual([[advice]]);
  warn.mockClear();
  vi.stubEnv("NODE_ENV", "production");
  watch("parcelNumber");
  await frame(send);
  expect(warn).not.toHaveBeenCalled();
  vi.unstubAllEnvs();
  warn.mockRestore();
});

test("keys of several fields, keys of one's own, and events without a key", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const watch = (type: string, options?: RoomStateOptions & { key?: undefined }) =>
    renderHook(() => useRoomState("voice:training", type, options), { wrapper: inside(client) }).result;
  const job = renderHook(() => useRoomState("voice:training", "voice_clone_progress", { key: ["u", "2"] }), {
    wrapper: inside(client),
  }).result;
  const orders = watch("order_placed", { keyBy: "orderId" });
  const newest = watch("training_milestone");
  await frame(() => core.joined("voice:training"));
  await frame(() => {
    core.event("voice_clone_progress", { userId: "u", jobId: "1", progress: 5 }, "voice:training");
    core.event("voice_clone_progress", { userId: "u", jobId: "2", progress: 6 }, "voice:training");
    core.event("order_placed", { orderId: 2, total: 1 }, "voice:training");
    core.event("order_placed", { orderId: 1, total: 2 }, "voice:training");
    core.event("order_placed", { orderId: 2, total: 3 }, "voice:training");
    core.event("training_milestone", { userId: "u", milestone: "one" }, "voice:training");
    core.event("training_milestone", { userId: "u", milestone: "two" }, "voice:training");
  });
  expect(job.current.event?.data.progress).toBe(6);
  expect(orders.current.events.map((event) => event.data)).toEqual([
    { orderId: 1, total: 2 },
    { orderId: 2, total: 3 },
  ]);
  expect(newest.current.events).toMatchObject([{ data: { milestone: "two" } }]);
  // No snapshot has these: they stay, and `recovered` says that they may be old.
  await frame(() => core.lost());
  await frame(() => {
    core.connected();
    core.joined("voice:training");
  });
  expect(orders.current).toMatchObject({ loading: false, recovered: false, events: [{}, {}] });
  expect(job.current.event).toBeUndefined();
});

test("another user is shown nothing of it; a refusal is told", async () => {
  const { client, live } = fakeClient();
  client.on("error", () => {});
  const core = await live();
  const { result, shown } = watchAgents(client);
  await frame(() => {
    joined(core);
    agent(core, "a", "online");
  });
  await frame(() => core.lost());
  await frame(() => core.connected("somebody else"));
  expect(shown()).toBe("loading");
  await frame(() => {
    joined(core);
    agent(core, "b", "online");
  });
  await frame(() =>
    core.room({ room: ROOM, status: "refused", error: { code: "forbidden", message: "no" } }),
  );
  expect(result.current).toMatchObject({ loading: false, events: [], error: { code: "forbidden" } });
});

test("the last to leave leaves, after a grace; the room joined again later starts with its own snapshot", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const first = watchAgents(client);
  const second = watchAgents(client);
  await frame(() => {
    joined(core);
    agent(core, "a", "online");
  });
  first.unmount();
  vi.advanceTimersByTime(GRACE);
  second.unmount();
  expect(core.count("leave")).toBe(0);
  const third = watchAgents(client);
  vi.advanceTimersByTime(GRACE);
  expect([core.count("leave"), third.shown()]).toEqual([0, " a:online"]);
  third.unmount();
  vi.advanceTimersByTime(GRACE);
  expect([core.count("join"), core.count("leave")]).toEqual([1, 1]);
  const fourth = watchAgents(client);
  expect([core.count("join"), fourth.shown()]).toEqual([2, "loading"]);
  // The application ends it for all, and whoever comes after that joins again.
  await frame(() => client.leaveRoom(ROOM));
  expect([core.count("leave"), fourth.shown()]).toEqual([2, ""]);
  watchAgents(client);
  expect(core.count("join")).toBe(3);
});

test("useEvent: the newest handler, no render, the newest events for who comes later", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const heard: string[] = [];
  let renders = 0;
  const { rerender, unmount } = renderHook(
    ({ tag, room }) => {
      renders += 1;
      useEvent("agent_status_change", ({ agentId }) => heard.push(`${tag} any ${agentId}`));
      useEvent(room, "agent_status_change", ({ status }, meta) =>
        heard.push(`${tag} ${meta.room} ${status}${meta.snapshot ? " snapshot" : ""}`),
      );
    },
    { wrapper: inside(client), initialProps: { tag: "1", room: ROOM as string | null } },
  );
  await frame(() => joined(core));
  await frame(() => agent(core, "a", "online"));
  expect([heard.splice(0), renders]).toEqual([["1 any a", `1 ${ROOM} online`], 1]);
  rerender({ tag: "2", room: ROOM });
  await frame(() => {
    agent(core, "a", "busy");
    core.event("clip_played", { clipId: "c", plays: 1 });
  });
  expect(heard.splice(0)).toEqual(["2 any a", `2 ${ROOM} busy`]);
  expect(core.count("join")).toBe(1);
  rerender({ tag: "3", room: null });
  await frame(() => agent(core, "a", "offline"));
  expect(heard.splice(0)).toEqual(["3 any a"]);
  unmount();
  renderHook(() => useEvent(ROOM, "agent_status_change", (_, meta) => heard.push(`${meta.snapshot}`)), {
    wrapper: inside(client),
  });
  expect(heard).toEqual(["true"]);
});

test("useConnectionState with a selection renders for nothing else", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  let renders = 0;
  const { result } = renderHook(
    () => {
      renders += 1;
      return useConnectionState((state) => state.status);
    },
    { wrapper: inside(client) },
  );
  act(() => core.lost());
  act(() => core.tell({ status: "reconnecting", attempt: 3, retryAtMs: 0, code: 1006, reason: "again" }));
  expect([result.current, renders]).toEqual(["reconnecting", 2]);
});

test("while the page is hidden, where there are no frames, readers are told by a timer", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const { shown } = watchAgents(client);
  await frame(() => joined(core));
  vi.spyOn(globalThis, "requestAnimationFrame").mockReturnValue(1);
  const hidden = vi.spyOn(document, "hidden", "get").mockReturnValue(false);
  act(() => agent(core, "a", "online"));
  // Shown, but late: its frame will come.
  act(() => vi.advanceTimersByTime(300));
  expect(shown()).toBe("");
  hidden.mockReturnValue(true);
  act(() => vi.advanceTimersByTime(100));
  expect(shown()).toBe(" a:online");
});

test("on a server: the initial state, nothing joined, nothing scheduled", () => {
  const { client, loads } = fakeClient();
  const frames = vi.spyOn(globalThis, "requestAnimationFrame");
  const Page = () => {
    const { loading, events } = useRoomState(ROOM, "metric_update");
    const one = useRoomState(ROOM, "metric_update", { key: "m" });
    useEvent(ROOM, "metric_update", () => {});
    useWebSocketRoom(ROOM);
    return (
      <p>{`${loading} ${events.length} ${one.loading} ${one.event} ${useConnectionState((s) => s.status)}`}</p>
    );
  };
  expect(
    renderToString(
      <RealtimeProvider client={client}>
        <Page />
      </RealtimeProvider>,
    ),
  ).toContain("true 0 true undefined idle");
  expect([loads.length, client.rooms.length, frames.mock.calls.length, vi.getTimerCount()]).toEqual([
    0, 0, 0, 0,
  ]);
});
