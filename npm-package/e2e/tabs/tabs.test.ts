/** Tabs of a real browser that share one connection to the real server, while those that have it are ended. */
import { rmSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFailed, test, vi } from "vitest";
import { Publisher, Server } from "./server.ts";
import { Browser, buildPage, leaderOf, type Tab } from "./tabs.ts";

let page: string;
let server: Server;
let browser: Browser;

const numbers = (last: number) => Array.from({ length: last }, (_, at) => at + 1);

/** Longer than anything takes, on a machine that is busy with others. */
const eventually = (check: () => unknown) => vi.waitFor(check, 60_000);

const connections = async () => (await server.status()).totalClients;
const clientsIn = async (room: string) => (await server.status()).rooms[room]?.clientCount ?? 0;

beforeAll(async () => {
  page = await buildPage();
  server = new Server(page);
  await server.start();
});

afterAll(async () => {
  await server?.stop();
  rmSync(page, { recursive: true, force: true });
});

beforeEach(async () => {
  browser = await Browser.launch();
  onTestFailed(() => {
    process.stderr.write(server.log);
  });
});

afterEach(async () => {
  await browser.close();
  await eventually(async () => expect(await connections()).toBe(0));
});

test("five tabs, one connection; the tab that has it is ended three times, and no tab misses an event or has one twice", async () => {
  const room = "agent:901";
  let tabs = await browser.tabs(server.url, 5);
  await Promise.all(tabs.map((tab) => tab.join(room)));
  expect(await connections()).toBe(1);
  expect(await clientsIn(room)).toBe(1);
  const publisher = new Publisher(server, room);
  await publisher.more(20);

  const ends: [string, (tab: Tab) => Promise<void>][] = [
    ["closed", (tab) => tab.page.close()],
    ["crashed", (tab) => tab.crash()],
    ["killed", (tab) => browser.killProcess(tab)],
  ];
  for (const [how, end] of ends) {
    const leader = await leaderOf(tabs);
    await end(leader);
    tabs = tabs.filter((tab) => tab !== leader);
    const upTo = publisher.published;
    await publisher.more(20);
    for (const tab of tabs) {
      expect(tab.crashed, `another tab went when the leader was ${how}`).toBe(false);
      await tab.seen(room, upTo + 10);
    }
    await eventually(async () => expect(await connections()).toBe(1));
  }

  expect(tabs).toHaveLength(2);
  const last = await publisher.stop();
  for (const tab of tabs) {
    expect(await tab.seen(room, last)).toEqual(numbers(last));
    const recovered = await tab.page.evaluate(() => window.tab.recovered);
    expect(recovered.slice(1)).not.toContain(false);
  }
});

test("the server is killed and started again under shared tabs: nothing is missed, nothing comes twice", async () => {
  const room = "agent:902";
  const tabs = await browser.tabs(server.url, 3);
  await Promise.all(tabs.map((tab) => tab.join(room)));
  const publisher = new Publisher(server, room);
  await publisher.more(20);
  await server.kill();
  await Promise.all(
    tabs.map((tab) => tab.page.waitForFunction(() => window.tab.client.state.status !== "connected")),
  );
  await server.start();
  await publisher.more(20);
  const last = await publisher.stop();
  for (const tab of tabs) expect(await tab.seen(room, last)).toEqual(numbers(last));
  expect(await connections()).toBe(1);
});

test("rooms are the union; a late tab has its own snapshot; the last tab that leaves a room leaves it on the server", async () => {
  const [first, second] = (await browser.tabs(server.url, 2)) as [Tab, Tab];
  await server.publish("agent:903", "agent_status_change", { agentId: "903", status: "training" });
  await first.join("agent:903");
  await second.join("agent:904");
  expect(await clientsIn("agent:903")).toBe(1);
  expect(await clientsIn("agent:904")).toBe(1);
  const late = await browser.tab(server.url);
  await late.join("agent:903");
  await eventually(async () => expect(await late.agents("agent:903")).toEqual(["training (snapshot)"]));
  await server.publish("agent:903", "agent_status_change", { agentId: "903", status: "ready" });
  for (const tab of [first, late])
    await eventually(async () =>
      expect(await tab.agents("agent:903")).toEqual(["training (snapshot)", "ready"]),
    );
  expect(await second.page.evaluate(() => window.tab.client.roomState("agent:903"))).toBeUndefined();

  await first.leave("agent:903");
  await server.publish("agent:903", "tick", { n: 1 });
  expect(await late.seen("agent:903", 1)).toEqual([1]);
  expect(await clientsIn("agent:903")).toBe(1);
  await late.leave("agent:903");
  await eventually(async () => expect(await clientsIn("agent:903")).toBe(0));
  // A tab that is gone has left its rooms too.
  await second.crash();
  await eventually(async () => expect(await clientsIn("agent:904")).toBe(0));
  expect(await connections()).toBe(1);
});

test("what a tab publishes while the leader is killed is stored once, and settles once", async () => {
  const room = "agent:905";
  const tabs = await browser.tabs(`${server.url}?admin`, 3);
  const leader = await leaderOf(tabs);
  const others = tabs.filter((tab) => tab !== leader);
  for (const [at, tab] of others.entries()) {
    await tab.page.evaluate(
      ([name, from]) => {
        const settled: string[] = [];
        const all = Array.from({ length: 100 }, (_, n) =>
          window.tab.client.emit(name, "tick", { n: from + n }).then(
            () => settled.push("stored"),
            (error) => settled.push(String(error)),
          ),
        );
        Object.assign(window, { settled, all: Promise.all(all) });
      },
      [room, at * 100] as const,
    );
  }
  // More than the server takes at once: some wait in the leader, some are on their way, when it goes.
  await leader.crash();
  for (const tab of others) {
    const settled = await tab.page.evaluate(async () => {
      const given = window as unknown as { settled: string[]; all: Promise<unknown> };
      await given.all;
      return given.settled;
    });
    expect(settled).toEqual(Array.from({ length: 100 }, () => "stored"));
  }
  const stored = (await server.history(room)).events.map(({ data }) => data.n).sort((a, b) => a - b);
  expect(stored).toEqual([0, 100].flatMap((from) => Array.from({ length: 100 }, (_, n) => from + n)));
});

test("a tab that disconnects goes alone, and one in the back/forward cache has given the connection to another", async () => {
  const room = "agent:906";
  const tabs = await browser.tabs(server.url, 3);
  await Promise.all(tabs.map((tab) => tab.join(room)));
  const first = await leaderOf(tabs);
  await first.page.evaluate(() => window.tab.client.disconnect());
  const rest = tabs.filter((tab) => tab !== first);
  await eventually(() => leaderOf(rest));
  const second = await leaderOf(rest);
  const [third] = rest.filter((tab) => tab !== second) as [Tab];
  await second.page.goto(`${server.url}api/ws/status`);
  await eventually(async () => expect(await third.leads()).toBe(true));
  await server.publish(room, "tick", { n: 1 });
  expect(await third.seen(room, 1)).toEqual([1]);
  await second.page.goBack({ waitUntil: "commit" });
  // The same page as before: it has its rooms and what it saw, and recovers what it missed.
  await second.joined(room);
  await server.publish(room, "tick", { n: 2 });
  expect(await second.seen(room, 2)).toEqual([1, 2]);
  expect(await third.seen(room, 2)).toEqual([1, 2]);
  expect(await first.page.evaluate(() => window.tab.client.state.status)).toBe("closed");
  expect(await third.leads()).toBe(true);
  expect(await connections()).toBe(1);
});

test("a leader that hangs loses the connection to others, and is one of them when it goes on", async () => {
  const room = "agent:907";
  const tabs = await browser.tabs(server.url, 2);
  await Promise.all(tabs.map((tab) => tab.join(room)));
  const leader = await leaderOf(tabs);
  const cdp = await leader.page.context().newCDPSession(leader.page);
  await cdp.send("Debugger.enable");
  const paused = new Promise((resolve) => cdp.once("Debugger.paused", resolve));
  await cdp.send("Debugger.pause");
  await server.publish(room, "tick", { n: 1 });
  await paused;
  const late = await browser.tab(server.url);
  await late.join(room);
  const others = [...tabs.filter((tab) => tab !== leader), late];
  const publisher = new Publisher(server, "agent:908");
  for (const tab of others) await tab.join("agent:908");
  await publisher.more(10);
  await cdp.send("Debugger.resume");
  await cdp.send("Debugger.disable");
  await server.publish(room, "tick", { n: 2 });
  const last = await publisher.stop();
  expect(await late.seen(room, 2)).toEqual([2]);
  for (const tab of tabs) expect(await tab.seen(room, 2)).toEqual([1, 2]);
  for (const tab of others) await tab.seen("agent:908", last);
  await eventually(async () => expect(await leader.leads()).toBe(false));
  await eventually(async () => expect(await connections()).toBe(1));
});
