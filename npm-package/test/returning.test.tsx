// @vitest-environment happy-dom
/** A client that ends and comes back, on the built module: nothing of it is left meanwhile, and nothing is missed after it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { act, cleanup, render } from "@testing-library/react";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { WebSocket } from "ws";
import { createClient, type EventMeta, type RealtimeClient } from "../src/index.js";
import { newest } from "../src/inspect.js";
import { RealtimeProvider, useRealtimeClient } from "../src/react/index.js";
import { fakeClient, settled } from "./fake-core.js";
import { live, reaches } from "./live.js";
import { eventFrame, ScriptedServer } from "./server.js";

afterEach(cleanup);

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** What a client listens to in a page. */
const LIFE = ["online", "offline", "focus", "pagehide", "pageshow", "freeze", "resume", "visibilitychange"];

/** How many of its listeners are there. */
function countListeners(): () => number {
  const all = new Map<EventTarget, number>([
    [window, 0],
    [document, 0],
  ]);
  for (const target of all.keys()) {
    const count = (by: number, name: string) =>
      LIFE.includes(name) && all.set(target, (all.get(target) ?? 0) + by);
    const { addEventListener, removeEventListener } = target;
    target.addEventListener = (...given: Parameters<EventTarget["addEventListener"]>) => {
      count(1, given[0]);
      addEventListener.apply(target, given);
    };
    target.removeEventListener = (...given: Parameters<EventTarget["removeEventListener"]>) => {
      count(-1, given[0]);
      removeEventListener.apply(target, given);
    };
    onTestFinished(() => void Object.assign(target, { addEventListener, removeEventListener }));
  }
  return () => [...all.values()].reduce((sum, one) => sum + one, 0);
}

/** Ends when all timers without a delay that were set before it have run: they fire in the order of their setting. */
const putOffIsDone = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/** How many of these clients a collection leaves. */
async function left(clients: WeakRef<RealtimeClient>[]): Promise<number> {
  await putOffIsDone();
  collect();
  return clients.filter((client) => client.deref() !== undefined).length;
}

test("50 providers mounted and unmounted leave at most 2 clients, and no listener of the page", async () => {
  const server = await ScriptedServer.start();
  onTestFinished(() => server.stop());
  const listeners = countListeners();
  const seen: WeakRef<RealtimeClient>[] = [];
  const Look = () => {
    seen.push(new WeakRef(useRealtimeClient()));
    return null;
  };
  const url = server.url;
  for (let n = 0; n < 50; n += 1) {
    const { unmount } = render(
      <RealtimeProvider options={{ url, WebSocket }} token="t">
        <Look />
      </RealtimeProvider>,
    );
    await act(() => server.accepted());
    expect(listeners()).toBeGreaterThan(0);
    unmount();
  }
  // The hooks' grace is over when the last of them is closed.
  await vi.waitFor(() =>
    expect(server.connections.every(({ socket }) => socket.readyState === 3)).toBe(true),
  );
  await vi.waitFor(async () => expect(await left(seen)).toBeLessThanOrEqual(2), 10_000);
  await vi.waitFor(() => expect(listeners()).toBe(0));
});

test("a client that is closed, by itself or by the server, is let go", async () => {
  const server = await ScriptedServer.start();
  onTestFinished(() => server.stop());
  const clients: WeakRef<RealtimeClient>[] = [];
  const make = async (end: (client: RealtimeClient) => void) => {
    const client = createClient({ url: server.url, WebSocket });
    clients.push(new WeakRef(client as RealtimeClient));
    client.on("error", () => {});
    await client.connect("t").catch(() => {});
    end(client as RealtimeClient);
  };
  for (let n = 0; n < 10; n += 1) await make((client) => client.disconnect());
  server.script.refuse = { code: 4501, reason: "unauthorized" };
  for (let n = 0; n < 10; n += 1) await make(({ state }) => expect(state.status).toBe("closed"));
  // The one that connected last is what the devtools look into.
  await vi.waitFor(async () => expect(await left(clients)).toBeLessThanOrEqual(1), 10_000);
  expect(newest.client).toBeDefined();
});

test("the core is freed once it has told everything, and the next one begins where it stopped", async () => {
  const { client, cores, live: connected } = fakeClient();
  const core = await connected("t");
  client.joinRoom("agent:7");
  core.joined("agent:7");
  core.room({ room: "agent:7", status: "joined", epoch: "e", offset: 5, recovered: true });
  const waiting = client.request("metrics:get");
  client.disconnect();
  expect(core.count("free")).toBe(0);
  core.sink.reply(1, false, { code: "unavailable", message: "closed" });
  await expect(waiting).rejects.toMatchObject({ code: "unavailable" });
  await vi.waitFor(() => expect(core.count("free")).toBe(1));
  // Nobody is there who could send it, and nobody connects by this.
  await expect(client.request("metrics:get")).rejects.toMatchObject({ code: "unavailable" });
  const refused = vi.fn();
  client.on("error", refused);
  client.send("note");
  expect(refused.mock.lastCall?.[0]).toMatchObject({ code: "unavailable", messageType: "note" });
  client.connect().catch(() => {});
  await settled();
  expect(cores[1]?.asked).toEqual([["join", "agent:7", true], ["seek", "agent:7", "e", 5], ["connect"]]);
});

test("with other options, or for another user, no position is taken over", async () => {
  for (const [token, options] of [
    ["t", { url: "ws://other/ws" }],
    ["u", { user: "bob" }],
  ] as const) {
    const { client, cores, live: connected } = fakeClient({ url: "ws://h/ws", user: "ann" });
    const core = await connected("t");
    client.joinRoom("agent:7");
    core.room({ room: "agent:7", status: "joined", epoch: "e", offset: 5, recovered: true });
    client.disconnect();
    await vi.waitFor(() => expect(core.count("free")).toBe(1));
    client.connect(token, { ...client.options, ...options }).catch(() => {});
    await settled();
    expect(cores[1]?.asked).toEqual([["join", "agent:7", true], ["connect"]]);
  }
});

test("what is missed while closed is asked for from the last position", async () => {
  const { client, connect, server } = await live();
  const room = client.joinRoom("agent:7");
  const accepted = await connect();
  const heard = new Promise((resolve) => room.on("note", resolve));
  accepted.send(eventFrame("note", { n: 1 }, "agent:7", 1));
  await heard;
  client.disconnect();
  expect(client.state.status).toBe("closed");
  // By then the core is freed.
  await putOffIsDone();
  const [again] = await Promise.all([server.accepted(), client.connect()]);
  expect(again.connect.payload.rooms).toEqual([{ room: "agent:7", epoch: "epoch-1", offset: 1 }]);
  await vi.waitFor(() => expect(room.state).toMatchObject({ status: "joined", recovered: true }));
});

test("what a recovery brings is marked; what follows it, and a snapshot, is not", async () => {
  const { client, connect, server } = await live();
  const room = client.joinRoom("dashboard:overview");
  const accepted = await connect();
  const marks: string[] = [];
  const mark = (n: unknown, { snapshot, replayed }: Pick<EventMeta, "snapshot" | "replayed">) =>
    marks.push(`${n}${snapshot ? " snapshot" : ""}${replayed ? " replayed" : ""}`);
  room.on("agent_status_change", (data, meta) => mark(data.status, meta));
  room.on("*", (event) => mark("*", event));
  const event = (offset: number, more: object = {}) => ({
    ...eventFrame("agent_status_change", { agentId: "7", status: `${offset}` }, "dashboard:overview", offset),
    ...more,
  });
  await vi.waitFor(() => expect(room.state.status).toBe("joined"));
  accepted.send(event(1));
  await vi.waitFor(() => expect(marks.splice(0)).toEqual(["1", "*"]));

  server.script.joined = () => ({ offset: 3, replayed: 2 });
  const again = server.accepted();
  accepted.socket.terminate();
  const recovered = await again;
  recovered.send(event(2), event(3), event(4));
  const told = ["2 replayed", "* replayed", "3 replayed", "* replayed", "4", "*"];
  await vi.waitFor(() => expect(marks).toEqual(told));
  // Its state is of when it was joined (where the stream stood), `rooms` as of now.
  expect([room.state.offset, client.rooms[0]?.offset]).toEqual([1, 4]);
  marks.splice(0);

  // A later listener gets the newest event of each key as a snapshot, however the event came.
  client.replay("dashboard:overview", (one) => mark("late", one));
  expect(marks.splice(0)).toEqual(["late snapshot"]);

  server.script.joined = () => ({ epoch: "epoch-2", offset: 2, recovered: false, snapshot: 1 });
  const lost = reaches(client, "reconnecting");
  const third = server.accepted();
  recovered.socket.terminate();
  await lost;
  (await third).send(event(2, { snapshot: true }), event(3));
  await vi.waitFor(() => expect(marks).toEqual(["2 snapshot", "* snapshot", "3", "*"]));
});
