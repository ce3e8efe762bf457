/** Tabs that share a connection, against a scripted server: what the server sees, and what each tab is told. */
import { expect, onTestFinished, test, vi } from "vitest";
import { WebSocket } from "ws";
import type { RealtimeEvent } from "../../src/events.js";
import { createClient } from "../../src/index.js";
import { eventFrame, ScriptedServer } from "../server.js";
import { Browser, LockTable, type Tab, tokenOf } from "./browser.js";

async function browser() {
  const server = await ScriptedServer.start();
  onTestFinished(() => server.stop());
  const all = new Browser();
  return {
    server,
    tab: () => all.tab({ url: server.url }),
    /** Tabs of one user, each connected. */
    async tabs(count: number, token = tokenOf("ann")): Promise<Tab[]> {
      const tabs = Array.from({ length: count }, () => all.tab({ url: server.url }));
      for (const tab of tabs) await tab.client.connect(token);
      return tabs;
    },
  };
}

/** Longer than anything takes, on a machine that is busy with others. */
const eventually = (check: () => unknown) => vi.waitFor(check, 20_000);

const joined = (tab: Tab, room: string) =>
  eventually(() => expect(tab.client.roomState(room)).toMatchObject({ status: "joined" }));

function seen(tab: Tab, room: string): number[] {
  const offsets: number[] = [];
  tab.client.joinRoom(room).on("*", (event: RealtimeEvent) => offsets.push(event.offset ?? 0));
  return offsets;
}

const tick = (offset: number, room = "a:1") => eventFrame("tick", { n: offset }, room, offset);

test("five tabs have one connection, and each is told that it is connected", async () => {
  const { server, tabs } = await browser();
  const all = await tabs(5);
  expect(server.connections).toHaveLength(1);
  for (const { client } of all)
    expect(client.state).toMatchObject({ status: "connected", userId: "ann", clientId: "client-1" });
});

test("no token goes over the channel", async () => {
  const { tabs } = await browser();
  const token = tokenOf("ann");
  const all = await tabs(3, token);
  await all[1]?.client.connect(tokenOf("ann", 4_000_000_001));
  await all[0]?.client.connect(tokenOf("ann", 4_000_000_002));
  const said = JSON.stringify(all.map((tab) => tab.said));
  expect(said).toContain("hello");
  for (const exp of [4_000_000_000, 4_000_000_001, 4_000_000_002])
    expect(said).not.toContain(tokenOf("ann", exp).split(".")[1]);
});

test("rooms are joined as the union, and left when the last tab leaves", async () => {
  const { server, tabs } = await browser();
  const [first, second] = (await tabs(2)) as [Tab, Tab];
  const [one, two] = [first.client.joinRoom("a:1"), second.client.joinRoom("a:1")];
  second.client.joinRoom("b:1");
  await Promise.all([joined(first, "a:1"), joined(second, "a:1"), joined(second, "b:1")]);
  expect(first.client.roomState("b:1")).toBeUndefined();
  const frames = server.connections[0]?.frames ?? [];
  one.leave();
  server.script.answer = ({ type }) => (type === "echo" ? { type: "echo", data: {} } : undefined);
  await first.client.request("echo");
  expect(frames.filter(({ type }) => type === "leave")).toEqual([]);
  two.leave();
  await eventually(() => expect(frames.filter(({ type }) => type === "leave")).toHaveLength(1));
});

test("a snapshot and a replay go to the tab that asked, live events to all that are in the room", async () => {
  const { server, tabs } = await browser();
  const [first, second, third] = (await tabs(3)) as [Tab, Tab, Tab];
  const others = seen(third, "b:1");
  const before = seen(first, "a:1");
  await Promise.all([joined(first, "a:1"), joined(third, "b:1")]);
  const connection = server.connections[0];
  connection?.send(tick(1), tick(2));
  await eventually(() => expect(before).toEqual([1, 2]));
  server.script.joined = () => ({ offset: 2, snapshot: 1 });
  const late = seen(second, "a:1");
  await joined(second, "a:1");
  connection?.send({ ...tick(2), snapshot: true }, tick(3));
  await eventually(() => expect(late).toEqual([2, 3]));
  await eventually(() => expect(before).toEqual([1, 2, 3]));
  connection?.send(tick(1, "b:1"));
  await eventually(() => expect(others).toEqual([1]));
  expect(before).toEqual([1, 2, 3]);
});

test("answers go to who asked", async () => {
  const { server, tabs } = await browser();
  const all = await tabs(3);
  server.script.answer = ({ type, payload }) =>
    type === "echo" ? { type: "echo", data: payload } : undefined;
  const asked = all.map(({ client }, n) => client.request("echo", { n }));
  expect(await Promise.all(asked)).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
  expect(server.connections).toHaveLength(1);
});

test("when the leader is killed another goes on as the same client, from where each tab stands", async () => {
  const { server, tabs } = await browser();
  const all = await tabs(3);
  const offsets = all.map((tab) => seen(tab, "a:1"));
  for (const tab of all) await joined(tab, "a:1");
  server.connections[0]?.send(tick(1), tick(2));
  await eventually(() =>
    expect(offsets).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
    ]),
  );
  const next = server.accepted();
  all[0]?.kill();
  const { connect } = await next;
  expect(connect.payload).toMatchObject({
    resume: { clientId: "client-1", token: "resume-1" },
    rooms: [{ room: "a:1", epoch: "epoch-1", offset: 2 }],
  });
  for (const tab of all.slice(1)) await eventually(() => expect(tab.client.state.status).toBe("connected"));
  for (const tab of all.slice(1)) await joined(tab, "a:1");
  // They stand where the first of them does, so that nobody has to ask; what comes twice is shown once.
  expect(server.connections[1]?.frames.filter(({ type }) => type === "join")).toEqual([]);
  server.connections[1]?.send(tick(2), tick(3));
  await eventually(() =>
    expect(offsets.slice(1)).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]),
  );
  expect(server.connections).toHaveLength(2);
});

test("a publish of another tab settles once though the leader dies before the answer", async () => {
  const { server, tabs } = await browser();
  const [leader, other] = (await tabs(2)) as [Tab, Tab];
  const keys: unknown[] = [];
  server.script.answer = ({ type, payload }) => {
    if (type !== "publish") return undefined;
    keys.push(payload?.idempotencyKey);
    if (keys.length === 1) return leader.kill() as undefined;
    return { type: "published", data: { room: "a:1", offset: 1, epoch: "epoch-1", eventId: "e" } };
  };
  expect(await other.client.emit("a:1", "tick", { n: 1 })).toMatchObject({ offset: 1 });
  expect(keys).toHaveLength(2);
  expect(keys[0]).toBe(keys[1]);
});

test("a request of another tab is rejected when the leader dies before the answer, and can be made again", async () => {
  const { server, tabs } = await browser();
  const [leader, other] = (await tabs(2)) as [Tab, Tab];
  const asked = other.client.request("slow");
  await server.connections[0]?.next("slow");
  leader.kill();
  await expect(asked).rejects.toMatchObject({ code: "unavailable" });
  server.script.answer = ({ type }) => (type === "slow" ? { type: "slow", data: { ok: true } } : undefined);
  expect(await other.client.request("slow")).toEqual({ ok: true });
});

test("disconnect in the leading tab lets another take over", async () => {
  const { server, tabs } = await browser();
  const [leader, other] = (await tabs(2)) as [Tab, Tab];
  const next = server.accepted();
  leader.client.disconnect();
  expect(leader.client.state.status).toBe("closed");
  await next;
  await eventually(() => expect(other.client.state.status).toBe("connected"));
  // And it can come back, as one that follows.
  await leader.client.connect();
  expect(server.connections).toHaveLength(2);
});

test("the last tab that disconnects says goodbye, one of several leaves its rooms and nothing more", async () => {
  const { server, tabs } = await browser();
  const [leader, other] = (await tabs(2)) as [Tab, Tab];
  const ended = (index: number) =>
    new Promise((resolve) => server.connections[index]?.socket.once("close", resolve));
  const first = ended(0);
  const next = server.accepted();
  leader.client.disconnect();
  // The user is still there, in the other tab.
  expect(await first).toBe(1000);
  await next;
  await eventually(() => expect(other.client.state.status).toBe("connected"));
  await leader.client.connect();
  const room = leader.client.joinRoom("agent:9");
  await eventually(() => expect(room.state.status).toBe("joined"));
  leader.client.disconnect();
  // At once, and not only when a page that is loaded anew would have been back.
  expect((await server.connections[1]?.next("leave"))?.payload).toEqual({ room: "agent:9" });
  const second = ended(1);
  other.client.disconnect();
  expect(await second).toBe(4000);
});

test("a frozen tab gives the lead away, and comes back", async () => {
  const { server, tabs } = await browser();
  const [leader, other] = (await tabs(2)) as [Tab, Tab];
  const next = server.accepted();
  leader.freeze();
  await next;
  await eventually(() => expect(other.client.state.status).toBe("connected"));
  leader.thaw();
  await eventually(() => expect(leader.client.state.status).toBe("connected"));
  expect(server.connections).toHaveLength(2);
});

test("a leader that hangs loses the lead to a tab that can't connect", async () => {
  const { server, tab } = await browser();
  const leader = tab();
  await leader.client.connect(tokenOf("ann"));
  leader.hang();
  const late = tab();
  await late.client.connect(tokenOf("ann"), { connectTimeoutMs: 1_000 });
  expect(server.connections).toHaveLength(2);
  expect(late.opened).toBe(1);
});

test("users don't share, and a tab whose token changes user leaves the others", async () => {
  const { server, tabs } = await browser();
  server.script.greeting = ({ token }) => ({ userId: token === tokenOf("bob") ? "bob" : "ann" });
  const [first, second] = (await tabs(2)) as [Tab, Tab];
  const [bob] = (await tabs(1, tokenOf("bob"))) as [Tab];
  expect(server.connections).toHaveLength(2);
  await second.client.connect(tokenOf("bob"));
  expect(server.connections).toHaveLength(2);
  expect(second.client.state).toMatchObject({ userId: "bob" });
  expect(first.client.state).toMatchObject({ status: "connected", userId: "ann" });
  expect(bob.client.state).toMatchObject({ status: "connected" });
});

test("a provider that gives another user's token on a live connection moves its tab alone", async () => {
  const { server, tabs } = await browser();
  server.script.greeting = ({ token }) => ({ userId: token === tokenOf("bob") ? "bob" : "ann" });
  const [first, second] = (await tabs(2)) as [Tab, Tab];
  let sub = "ann";
  second.client.disconnect();
  await second.client.connect(() => tokenOf(sub));
  sub = "bob";
  server.connections[0]?.send({ type: "token_expiring", data: { expiresAt: new Date().toISOString() } });
  await eventually(() => expect(second.client.state).toMatchObject({ status: "connected", userId: "bob" }));
  expect(first.client.state).toMatchObject({ status: "connected", userId: "ann" });
});

test.each([
  ["role", { role: "admin" }],
  ["role in app_metadata", { app_metadata: { role: "admin" } }],
  ["rooms claim", { rooms: ["agent:7"] }],
])("a token of the same user with another %s has a connection of its own", async (_, rights) => {
  const { server, tabs } = await browser();
  await tabs(2);
  expect(server.connections).toHaveLength(1);
  await tabs(2, tokenOf("ann", undefined, rights));
  expect(server.connections).toHaveLength(2);
});

test("a lost connection is lost for all, and back for all with one attempt", async () => {
  const { server, tabs } = await browser();
  const all = await tabs(3);
  const states = all.map(({ client }) => {
    const told: string[] = [];
    client.on("state", ({ status }) => told.push(status));
    return told;
  });
  const next = server.accepted();
  server.connections[0]?.socket.terminate();
  await next;
  await eventually(() => {
    for (const { client } of all) expect(client.state.status).toBe("connected");
  });
  for (const told of states) expect(told[0]).toBe("reconnecting");
  expect(server.connections).toHaveLength(2);
});

test("a refused token closes its own tab only", async () => {
  const { server, tab } = await browser();
  server.script.refuse = { code: 4501, reason: "unauthorized" };
  const [first, second] = [tab(), tab()];
  const refused = first.client.connect(tokenOf("ann"));
  await expect(refused).rejects.toMatchObject({ closeCode: 4501 });
  server.script = {};
  await second.client.connect(tokenOf("ann"));
  expect(second.client.state.status).toBe("connected");
});

test("a hidden leader that waits for its next attempt makes it at once for a tab that is seen", async () => {
  const { server, tab } = await browser();
  const [leader, other] = [tab(), tab()];
  await leader.client.connect(tokenOf("ann"), { backoff: { initialMs: 600_000, maxMs: 600_000 } });
  await other.client.connect(tokenOf("ann"));
  leader.isVisible = false;
  server.connections[0]?.socket.terminate();
  await eventually(() => expect(other.client.state.status).toBe("connected"));
  await eventually(() => expect(leader.client.state.status).toBe("connected"));
  expect(other.opened).toBe(0);
});

test("an administrator's disconnect closes every tab", async () => {
  const { server, tabs } = await browser();
  const all = await tabs(3);
  server.connections[0]?.socket.close(4505, "disconnected");
  await eventually(() => {
    for (const { client } of all) expect(client.state).toMatchObject({ status: "closed", code: 4505 });
  });
});

test("the user's own room is joined for a tab that comes later too", async () => {
  const { server, tabs } = await browser();
  const room = {
    room: "user:ann",
    epoch: "epoch-1",
    offset: 4,
    recovered: false,
    replayed: 0,
    clientCount: 1,
  };
  server.script.greeting = ({ rooms }) =>
    rooms === undefined || rooms.length === 0 ? { rooms: [room] } : {};
  const [first, second] = (await tabs(2)) as [Tab, Tab];
  for (const tab of [first, second]) await joined(tab, "user:ann");
});

test("a tab whose token doesn't say whose it is has a connection of its own", async () => {
  const said = vi.spyOn(console, "warn").mockImplementation(() => {});
  const { server, tabs } = await browser();
  await tabs(2, "opaque");
  expect(server.connections).toHaveLength(2);
  expect(said).toHaveBeenCalledOnce();
});

test("the option alone does it: clients find each other by the browser's own locks and channels", async () => {
  const { server } = await browser();
  const locks = new LockTable();
  vi.stubGlobal("navigator", { locks: locks.of({}) });
  onTestFinished(() => void vi.unstubAllGlobals());
  const clients = [1, 2].map(() => createClient({ url: server.url, WebSocket, shareAcrossTabs: true }));
  onTestFinished(() => {
    for (const client of clients) client.disconnect();
  });
  for (const client of clients) await client.connect(tokenOf("ann"));
  expect(server.connections).toHaveLength(1);
  const other = createClient({ url: server.url, WebSocket, shareAcrossTabs: "admin tools" });
  onTestFinished(() => other.disconnect());
  await other.connect(tokenOf("ann"));
  expect(server.connections).toHaveLength(2);
});

test("where the browser can't, or may not, a tab has a connection of its own and says so once", async () => {
  const { server } = await browser();
  const said = vi.spyOn(console, "warn").mockImplementation(() => {});
  onTestFinished(() => void vi.unstubAllGlobals());
  const connect = async () => {
    const client = createClient({ url: server.url, WebSocket, shareAcrossTabs: true });
    onTestFinished(() => client.disconnect());
    await client.connect(tokenOf("ann"));
  };
  vi.stubGlobal("navigator", {});
  await connect();
  await connect();
  expect(said.mock.calls).toEqual([[expect.stringContaining("no Web Locks")]]);
  const request = () => Promise.reject(new DOMException("not in a sandbox", "SecurityError"));
  vi.stubGlobal("navigator", { locks: { request } });
  await connect();
  await connect();
  expect(said.mock.calls.slice(1)).toEqual([[expect.stringContaining("refuses Web Locks")]]);
  expect(server.connections).toHaveLength(4);
});
