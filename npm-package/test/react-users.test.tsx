// @vitest-environment happy-dom
/** The hooks and who is signed in: switching, logging out and in, functions that are written inline. */
import { act, cleanup, render, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { RealtimeClient } from "../src/client.js";
import { RealtimeProvider, useRoomState, useWebSocket, useWebSocketRoom } from "../src/react/index.js";
import { type FakeCore, fakeClient, settled } from "./fake-core.js";

const GRACE = 500;
(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

function jwt(sub: string): string {
  return `h.${btoa(JSON.stringify({ sub })).replace(/=/g, "")}.s`;
}

function inside(client: RealtimeClient) {
  return ({ children }: { children: React.ReactNode }) => (
    <RealtimeProvider client={client}>{children}</RealtimeProvider>
  );
}

/** A page that is connected as ann. `asked` are the users whose function was asked. */
async function page(hook: (user: string, ask: (user: string) => string) => void) {
  const made = fakeClient();
  const asked: string[] = [];
  const ask = (user: string) => {
    asked.push(user);
    return jwt(user);
  };
  const view = renderHook(({ user }) => hook(user, ask), {
    wrapper: inside(made.client),
    initialProps: { user: "ann" },
  });
  made.loads[0]?.succeed();
  await act(settled);
  await act(async () => {
    made.cores[0]?.connected("ann");
    await settled();
  });
  const show = (user: string) =>
    act(async () => {
      view.rerender({ user });
      await settled();
    });
  return { ...made, ...view, asked, show };
}

test("with `user` an inline function is asked when there is need only, and another user is another session", async () => {
  const { cores, asked, show } = await page((user, ask) => {
    useWebSocket(() => ask(user), { url: "ws://h/ws", user });
  });
  for (let n = 0; n < 20; n++) await show("ann");
  expect([cores.length, asked]).toEqual([1, ["ann"]]);
  await show("bob");
  expect([cores.length, asked]).toEqual([2, ["ann", "bob"]]);
  expect(cores[0]?.count("disconnect")).toBe(1);
});

test("without `user` a function that changed is asked at once, and another sub is another session", async () => {
  const { cores, asked, show } = await page((user, ask) => {
    useWebSocket(() => ask(user));
  });
  await show("bob");
  expect(asked.at(-1)).toBe("bob");
  expect(cores).toHaveLength(2);
  expect(cores[1]?.calls).toContainEqual(["setToken", jwt("bob")]);
});

test("without `user` a function that is new at each render is asked less and less often, and a warning says why", async () => {
  const said = vi.spyOn(console, "warn").mockImplementation(() => {});
  const { cores, asked, show } = await page((user, ask) => {
    useWebSocket(() => ask(user));
  });
  for (let n = 0; n < 50; n++) await show("ann");
  const atOnce = asked.length;
  expect(atOnce).toBeLessThanOrEqual(4);
  for (let n = 0; n < 50; n++) await show("ann");
  expect(asked).toHaveLength(atOnce);
  expect(said.mock.calls.flat().join()).toContain("{ user:");
  expect(said).toHaveBeenCalledOnce();
  await show("bob");
  await act(async () => {
    vi.advanceTimersByTime(10_000);
    await settled();
  });
  expect(asked.at(-1)).toBe("bob");
  expect(cores).toHaveLength(2);
});

test("mounted anew by key={user}, and logged out for longer or shorter than the grace: another user is another session", async () => {
  for (const away of ["key", 100, GRACE + 1] as const) {
    const { client, cores, loads } = fakeClient();
    const Session = ({ user }: { user: string }) => {
      useWebSocket(() => jwt(user));
      useWebSocketRoom(`user:${user}`);
      return null;
    };
    const show = (user: string | undefined) => (
      <RealtimeProvider client={client}>{user && <Session key={user} user={user} />}</RealtimeProvider>
    );
    const { rerender, unmount } = render(show("ann"));
    loads[0]?.succeed();
    await act(settled);
    await act(async () => {
      cores[0]?.connected("ann");
      await settled();
    });
    client.metrics.update({
      type: "metric_update",
      data: { metric: "salary", values: { total: 7 } },
      room: "user:ann",
      eventId: "1",
      timestamp: "",
    });
    if (away !== "key") {
      rerender(show(undefined));
      act(() => vi.advanceTimersByTime(away));
    }
    await act(async () => {
      rerender(show("bob"));
      await settled();
    });
    expect(client.metrics.get("salary"), `${away}`).toBeUndefined();
    expect(cores, `${away}`).toHaveLength(2);
    expect(cores[1]?.calls).toContainEqual(["setToken", jwt("bob")]);
    unmount();
    act(() => vi.advanceTimersByTime(GRACE));
  }
});

test("a provider's user, and rooms within: nobody joins a room in the name of the user before", async () => {
  const { client, cores, loads } = fakeClient();
  const Room = ({ user }: { user: string }) => {
    useWebSocketRoom(`user:${user}`);
    return null;
  };
  const show = (user: string) => (
    <RealtimeProvider client={client} token={() => jwt(user)} user={user}>
      <Room user={user} />
    </RealtimeProvider>
  );
  const { rerender } = render(show("ann"));
  loads[0]?.succeed();
  await act(settled);
  await act(async () => {
    cores[0]?.connected("ann");
    await settled();
  });
  await act(async () => {
    rerender(show("bob"));
    await settled();
  });
  expect(cores[0]?.calls).not.toContainEqual(["join", "user:bob", true]);
  expect(cores[1]?.calls).toContainEqual(["join", "user:bob", true]);
});

test("what useRoomState shows of the user before is gone before the next one is connected", async () => {
  const { client, cores, loads } = fakeClient();
  const renders: [string, number][] = [];
  const Session = ({ user }: { user: string }) => {
    useWebSocket(() => jwt(user), { url: "ws://h/ws", user });
    const { events } = useRoomState("dashboard:overview", "agent_status_change");
    renders.push([client.state.status === "connected" ? (client.state.userId ?? "") : user, events.length]);
    return null;
  };
  const show = (user: string) => (
    <RealtimeProvider client={client}>
      <Session user={user} />
    </RealtimeProvider>
  );
  const { rerender } = render(show("ann"));
  loads[0]?.succeed();
  await act(settled);
  await act(async () => {
    cores[0]?.connected("ann");
    cores[0]?.joined("dashboard:overview");
    cores[0]?.event("agent_status_change", { agentId: "7", status: "busy" });
    vi.advanceTimersByTime(200);
    await settled();
  });
  expect(renders.at(-1)).toEqual(["ann", 1]);
  const before = renders.length;
  await act(async () => {
    rerender(show("bob"));
    await settled();
  });
  // The render in which the page itself turns to bob can't know better; it is done again before it is painted.
  const stale = renders.slice(before).filter(([, events]) => events > 0);
  expect(stale.length).toBeLessThanOrEqual(1);
  expect(renders.at(-1)).toEqual(["bob", 0]);
  await act(async () => {
    (cores[1] as FakeCore).connected("bob");
    await settled();
  });
  expect(renders.at(-1)).toEqual(["bob", 0]);
});
