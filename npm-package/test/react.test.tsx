// @vitest-environment happy-dom
/** The hooks: one socket and one join under StrictMode, handlers that change, metrics from the snapshot. */
import { act, cleanup, configure, render, renderHook } from "@testing-library/react";
import { useEffect, useState } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { RealtimeClient } from "../src/client.js";
import service from "../src/index.js";
import {
  RealtimeProvider,
  useConnectionState,
  useRealtimeClient,
  useWebSocket,
  useWebSocketMetrics,
  useWebSocketRoom,
} from "../src/react/index.js";
import type { RoomState } from "../src/types.js";
import { type FakeCore, fakeClient, settled } from "./fake-core.js";

const GRACE = 500;
(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  cleanup();
  configure({ reactStrictMode: false });
  vi.useRealTimers();
});

function inside(client: RealtimeClient) {
  return ({ children }: { children: React.ReactNode }) => (
    <RealtimeProvider client={client}>{children}</RealtimeProvider>
  );
}

test("StrictMode: one load, one connect, one join, and nothing is left", async () => {
  // At the root: React mounts twice only below a StrictMode that is outermost.
  configure({ reactStrictMode: true });
  const { client, cores, loads } = fakeClient();
  const events: string[] = [];
  let mounts = 0;
  const { result, unmount } = renderHook(
    () => {
      useEffect(() => {
        mounts += 1;
      }, []);
      const socket = useWebSocket("t");
      const room = useWebSocketRoom("dashboard:overview", (event) => events.push(event.type));
      return { ...socket, room };
    },
    { wrapper: inside(client) },
  );
  expect(mounts).toBe(2);
  expect(loads).toHaveLength(1);
  expect(result.current).toMatchObject({ connected: false, authenticated: false, service: client });
  loads[0]?.succeed();
  await act(settled);
  act(() => vi.advanceTimersByTime(GRACE));
  expect(cores).toHaveLength(1);
  const core = cores[0] as FakeCore;
  act(() => {
    core.connected();
    core.joined("dashboard:overview");
  });
  expect(result.current).toMatchObject({ connected: true, authenticated: true, room: { status: "joined" } });
  core.event("clip_played", { clipId: "c", plays: 1 });
  expect(events).toEqual(["clip_played"]);
  expect(core.asked).toEqual([["join", "dashboard:overview", true], ["connect"]]);
  unmount();
  core.event("clip_played", { clipId: "c", plays: 2 });
  expect(events).toEqual(["clip_played"]);
  expect(core.count("leave") + core.count("disconnect")).toBe(0);
  vi.advanceTimersByTime(GRACE);
  expect(core.count("leave")).toBe(1);
  expect(core.count("disconnect")).toBe(1);
});

test("a handler that is a new one at each render hears everything, without joining again", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const heard: string[] = [];
  const { rerender } = renderHook(
    ({ tag }) => useWebSocketRoom("agent:7", (event) => heard.push(tag + event.type)),
    {
      wrapper: inside(client),
      initialProps: { tag: "1" },
    },
  );
  core.event("x", {}, "agent:7");
  rerender({ tag: "2" });
  core.event("x", {}, "agent:7");
  expect(heard).toEqual(["1x", "2x"]);
  expect(core.count("join")).toBe(1);
});

test("who comes later to a room is told its newest events at once, as a snapshot, but not another user's", async () => {
  configure({ reactStrictMode: true });
  const { client, live } = fakeClient();
  const core = await live();
  const heard: string[] = [];
  const listen = (tag: string) =>
    renderHook(
      () =>
        useWebSocketRoom("dashboard:overview", ({ type, data, snapshot }) => {
          const agent = type === "agent_status_change" ? data.agentId + data.status : "";
          heard.push(`${tag} ${agent}${snapshot ? " snapshot" : ""}`);
        }),
      { wrapper: inside(client) },
    );
  const first = listen("1");
  act(() => core.joined("dashboard:overview"));
  for (const [agentId, status] of [
    ["b", "busy"],
    ["a", "busy"],
    ["b", "online"],
  ])
    core.event("agent_status_change", { agentId, status });
  core.event("clicked", {});
  expect(heard).toEqual(["1 bbusy", "1 abusy", "1 bonline", "1 "]);
  first.unmount();
  const second = listen("2");
  vi.advanceTimersByTime(GRACE);
  expect(core.count("leave")).toBe(0);
  expect(heard.slice(4)).toEqual(["2 abusy snapshot", "2 bonline snapshot"]);
  core.event("agent_status_change", { agentId: "a", status: "online" });
  expect(heard.slice(6)).toEqual(["2 aonline"]);
  second.unmount();
  act(() => core.connected("somebody else"));
  listen("3");
  expect(heard).toHaveLength(7);
});

test("who comes to a room that the server joined is told of the snapshot that came before", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  core.joined("user:u");
  core.event("voice_clone_progress", { userId: "u", jobId: "1", progress: 10 }, "user:u");
  core.event("voice_clone_progress", { userId: "u", jobId: "1", progress: 20 }, "user:u");
  core.event("voice_clone_progress", { userId: "u", jobId: "2", progress: 30 }, "user:u");
  const heard: unknown[] = [];
  renderHook(() => useWebSocketRoom("user:u", ({ data }) => heard.push(data)), { wrapper: inside(client) });
  expect(heard).toMatchObject([{ progress: 20 }, { progress: 30 }]);
});

test("the room changes: the new one is joined, the old one left after a grace; null joins none", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const { rerender, result } = renderHook(({ room }) => useWebSocketRoom(room), {
    wrapper: inside(client),
    initialProps: { room: "agent:1" as string | null },
  });
  rerender({ room: "agent:2" });
  expect(core.count("leave")).toBe(0);
  rerender({ room: "agent:1" });
  vi.advanceTimersByTime(GRACE);
  expect(core.calls.filter(([name]) => name === "join" || name === "leave")).toEqual([
    ["join", "agent:1", true],
    ["join", "agent:2", true],
    ["leave", "agent:2"],
  ]);
  expect(result.current).toMatchObject({ room: "agent:1" });
  rerender({ room: null });
  expect(result.current).toBeUndefined();
});

test("metrics: filled by the snapshot, also for a component that comes later; stable between updates", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  client.joinRoom("dashboard:overview");
  core.event("metric_update", { metric: "voice_call", values: { active: 3 } });
  core.event("metric_update", { metric: "call_cost", values: { usd: 1.5 } });
  await settled();
  const { result, rerender } = renderHook(() => useWebSocketMetrics(["voice_call", "conversion"]), {
    wrapper: inside(client),
  });
  expect(result.current.voice_call?.values).toEqual({ active: 3 });
  expect(result.current.conversion).toBeUndefined();
  const before = result.current;
  rerender();
  await act(async () => {
    core.event("metric_update", { metric: "call_cost", values: { usd: 2 } });
  });
  expect(result.current).toBe(before);
  await act(async () => {
    core.event("metric_update", { metric: "voice_call", values: { active: 4 } });
    core.event("metric_update", { metric: "voice_call", values: { active: 5 } });
  });
  expect(result.current.voice_call).toEqual({
    metric: "voice_call",
    values: { active: 5 },
    timestamp: "2026-01-01T00:00:00.000Z",
  });
  expect(core.count("join")).toBe(1);
});

test("metrics tell how they stand: loading, refused with nothing shown, and after a loss only what the snapshot brings", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const { result } = renderHook(() => useWebSocketMetrics(["calls", "gone"]), { wrapper: inside(client) });
  const room = (state: object) => core.room({ room: "dashboard:overview", ...state } as RoomState);
  const frame = (happen: () => void) =>
    act(async () => {
      happen();
      await new Promise((resolve) => requestAnimationFrame(resolve));
    });
  const put = (metric: string, n: number, mark = {}) => {
    const event = { type: "metric_update", data: { metric, values: { n } }, room: "dashboard:overview" };
    core.sink.event(
      { ...event, eventId: `${metric}${n}`, timestamp: "2026-01-01T00:00:00.000Z", ...mark },
      true,
    );
  };
  const shown = () => {
    const { calls, gone, loading, error } = result.current;
    return [calls?.values.n, gone?.values.n, loading, error?.code];
  };
  expect(shown()).toEqual([undefined, undefined, true, undefined]);
  await frame(() => room({ status: "joined", epoch: "e", offset: 0, recovered: false }));
  await frame(() => {
    put("calls", 1);
    put("gone", 5);
  });
  expect(shown()).toEqual([1, 5, false, undefined]);
  // Away: what was known stays, and says of itself that it is old.
  await frame(() => core.lost());
  expect(shown()).toEqual([1, 5, true, undefined]);
  await frame(() => core.connected());
  await frame(() => {
    room({ status: "joined", epoch: "f", offset: 1, recovered: false, snapshotDue: 1 });
    put("calls", 2, { snapshot: true, offset: 1 });
  });
  expect(shown()).toEqual([2, undefined, false, undefined]);
  expect(client.metrics.get("gone")).toBeUndefined();
  const error = { code: "forbidden", message: "the token doesn't allow this room any more" };
  client.on("error", () => {});
  await frame(() => room({ status: "refused", error }));
  expect(shown()).toEqual([undefined, undefined, false, "forbidden"]);
  expect(client.metrics.get("calls")).toBeUndefined();
});

test("readers of the metrics are told once of all that one frame brings", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const told = vi.fn();
  const end = client.metrics.subscribe(told);
  for (let n = 0; n < 64; n += 1) core.event("metric_update", { metric: "m", values: { n } });
  await settled();
  expect(told).toHaveBeenCalledOnce();
  core.event("metric_update", { metric: "m", values: { n: 64 } });
  await settled();
  expect(told).toHaveBeenCalledTimes(2);
  end();
});

test("a burst in one frame renders once", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  let renders = 0;
  renderHook(
    () => {
      renders += 1;
      return useWebSocketMetrics(["m"]);
    },
    { wrapper: inside(client) },
  );
  const before = renders;
  await act(async () => {
    for (let n = 0; n < 64; n += 1) core.event("metric_update", { metric: "m", values: { n } });
  });
  expect(renders).toBe(before + 1);
});

test("a metric whose room nobody holds any more is not shown as current", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const room = client.joinRoom("dashboard:overview");
  core.event("metric_update", { metric: "m", values: { n: 1 } });
  room.leave();
  expect(client.metrics.get("m")).toBeUndefined();
});

test("the token arrives later, is refreshed by a provider; no token yet means no connection", async () => {
  const { client, cores, loads } = fakeClient();
  const { rerender } = renderHook(({ token }) => useWebSocket(token), {
    wrapper: inside(client),
    initialProps: { token: undefined as (() => string) | undefined },
  });
  expect(loads).toHaveLength(0);
  rerender({ token: () => "a" });
  rerender({ token: () => "b" });
  loads[0]?.succeed();
  await act(settled);
  expect(cores).toHaveLength(1);
  expect(cores[0]?.calls).toContainEqual(["setToken", "b"]);
  expect(cores[0]?.count("setToken")).toBe(1);
  expect(client.state.status).toBe("connecting");
});

test("a provider that is written inline doesn't reopen what was closed for good", async () => {
  const { client, cores, loads } = fakeClient();
  let asked = "";
  const { result, rerender } = renderHook(
    ({ token }) =>
      useWebSocket(() => {
        asked += token;
        return token;
      }),
    { wrapper: inside(client), initialProps: { token: "a" } },
  );
  loads[0]?.succeed();
  await act(settled);
  const core = cores[0] as FakeCore;
  act(() => core.tell({ status: "closed", code: 4501, reason: "unauthorized" }));
  rerender({ token: "b" });
  expect(result.current.state).toMatchObject({ status: "closed" });
  expect([core.count("connect"), asked]).toEqual([1, "a"]);
  await act(async () => {
    client.connect().catch(() => {});
    await settled();
  });
  expect([core.count("connect"), asked]).toEqual([2, "ab"]);
});

test("a connection that the application opened outlives the components", async () => {
  const { client, live } = fakeClient();
  const core = await live("t");
  const { unmount } = renderHook(() => useWebSocket("t"), { wrapper: inside(client) });
  unmount();
  vi.advanceTimersByTime(GRACE);
  expect(core.count("disconnect")).toBe(0);
});

test("a provider with a token connects; without anything the default service is used", async () => {
  const { client, loads } = fakeClient();
  render(<RealtimeProvider client={client} token="t" />);
  expect(loads).toHaveLength(1);
  const { result } = renderHook(() => useRealtimeClient());
  expect(result.current).toBe(service);
  const own = renderHook(() => useRealtimeClient(), {
    wrapper: ({ children }) => <RealtimeProvider options={{ url: "ws://h/ws" }}>{children}</RealtimeProvider>,
  });
  const first = own.result.current;
  own.rerender();
  expect(own.result.current).toBe(first);
  expect(first).not.toBe(service);
});

test("on a server: rendered as idle, nothing loaded, nothing joined", () => {
  const { client, loads } = fakeClient();
  const Page = () => {
    const { connected } = useWebSocket("t");
    const state = useConnectionState();
    const room = useWebSocketRoom("agent:7");
    const metrics = useWebSocketMetrics(["m"]);
    return <p>{`${connected} ${state.status} ${room?.status} ${metrics.m}`}</p>;
  };
  const html = renderToString(
    <RealtimeProvider client={client}>
      <Page />
    </RealtimeProvider>,
  );
  expect(html).toContain("false idle undefined undefined");
  expect(loads).toHaveLength(0);
  expect(client.rooms).toEqual([]);
});

test("a handler that sets state works, and one that throws does not stop the next", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  client.on("error", () => {});
  const Broken = () => {
    useWebSocketRoom("agent:7", () => {
      throw new Error("no");
    });
    return null;
  };
  const Counter = () => {
    const [count, setCount] = useState(0);
    useWebSocketRoom("agent:7", () => setCount((n) => n + 1));
    return <p>{count}</p>;
  };
  const { container } = render(
    <RealtimeProvider client={client}>
      <Broken />
      <Counter />
    </RealtimeProvider>,
  );
  act(() => {
    core.event("x", {}, "agent:7");
    core.event("x", {}, "agent:7");
  });
  expect(container.textContent).toBe("2");
});
