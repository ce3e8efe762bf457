/** What happens to a page, its network and its machine, in a real browser against the real server: nothing is missed or doubled. */
import { rmSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFailed, test, vi } from "vitest";
import { Server } from "../tabs/server.ts";
import { buildPage } from "../tabs/tabs.ts";
import { OwnBrowser } from "./browser.ts";
import { Lived, tokenFor } from "./lived.ts";
import { TcpProxy } from "./proxy.ts";

let page: string;
/** With the settings of the product, and with a heartbeat that is over while a test waits. */
let server: Server;
let quick: Server;
/** Before each of them. */
let proxy: TcpProxy;
let quickProxy: TcpProxy;
let browser: OwnBrowser;

const numbers = (last: number) => Array.from({ length: last }, (_, at) => at + 1);
const gone = (from: Server) =>
  vi.waitFor(async () => expect((await from.status()).totalClients).toBe(0), {
    timeout: 30_000,
    interval: 50,
  });

beforeAll(async () => {
  page = await buildPage(new URL("./page", import.meta.url));
  server = new Server(page);
  quick = new Server(page, { HEARTBEAT: "500ms", PONG_TIMEOUT: "1s" });
  await Promise.all([server.start(), quick.start()]);
  proxy = new TcpProxy(() => server.port);
  quickProxy = new TcpProxy(() => quick.port);
  await Promise.all([proxy.start(), quickProxy.start()]);
});

afterAll(async () => {
  proxy?.close();
  quickProxy?.close();
  await Promise.all([server?.stop(), quick?.stop()]);
  rmSync(page, { recursive: true, force: true });
});

beforeEach(async () => {
  browser = await OwnBrowser.launch();
  onTestFailed(() => {
    process.stderr.write(server.log + quick.log);
  });
});

afterEach(async () => {
  await browser.close();
  proxy.mend();
  quickProxy.mend();
  await Promise.all([gone(server), gone(quick)]);
});

/** Publishes so many numbers that follow each other; gives the last. */
async function publish(from: Server, room: string, count: number, after = 0): Promise<number> {
  for (let n = after + 1; n <= after + count; n += 1) await from.publish(room, "tick", { n });
  return after + count;
}

/** The same session went on, and the room with it, each time. */
async function wentOn(lived: Lived, id: string | undefined, last: number): Promise<void> {
  const seen = await lived.seen(last).catch(async (late) => {
    throw new Error(`only this happened: ${JSON.stringify(await lived.log())}`, { cause: late });
  });
  expect(seen).toEqual(numbers(last));
  expect(await lived.state()).toMatchObject({ status: "connected", resumed: true, id });
  const [, ...again] = await lived.recovered();
  expect(again.length).toBeGreaterThan(0);
  expect(again).not.toContain(false);
}

test("off line the state says so and no attempt follows another; back on line it connects at once and recovers", async () => {
  const room = "agent:951";
  // Without a care for the network these waits would be over, and the attempts used up, at once.
  const lived = await Lived.open(await browser.page(), `${proxy.url}?wait=10`, room);
  const { id } = await lived.state();
  expect(await lived.seen(await publish(server, room, 5))).toEqual(numbers(5));
  await browser.context.setOffline(true);
  await lived.noted("offline");
  proxy.cut();
  await lived.noted("reconnecting: offline");
  const sockets = await lived.count("socket");
  const last = await publish(server, room, 20, 5);
  const { retryAtMs = 0, status } = (await lived.state()) as { retryAtMs?: number; status: string };
  expect(status).toBe("reconnecting");
  expect(retryAtMs - Date.now()).toBeGreaterThan(300_000);
  expect(await lived.count("socket")).toBe(sockets);
  proxy.mend();
  await browser.context.setOffline(false);
  await wentOn(lived, id, last);
  expect(await lived.count("socket")).toBe(sockets + 1);
});

test("a connection that hangs is noticed when the network is back, before any deadline", async () => {
  const room = "agent:952";
  const lived = await Lived.open(await browser.page(), `${proxy.url}?wait=10`, room);
  const { id } = await lived.state();
  await lived.seen(await publish(server, room, 5));
  proxy.stall();
  const last = await publish(server, room, 5, 5);
  await browser.context.setOffline(true);
  await lived.noted("offline");
  await browser.context.setOffline(false);
  await wentOn(lived, id, last);
  // The return of the network made the client ask the server: its own heartbeat would have been 25 s away.
  expect(await lived.noted("write heartbeat", "offline")).toContain("reconnecting: the server went silent");
});

test("a connection that hangs while nothing else happens is noticed by its deadline", async () => {
  const room = "agent:953";
  const lived = await Lived.open(await browser.page(), `${quickProxy.url}?wait=10`, room);
  const { id } = await lived.state();
  await lived.seen(await publish(quick, room, 5));
  quickProxy.stall();
  const last = await publish(quick, room, 5, 5);
  await lived.noted("reconnecting: the server went silent");
  await wentOn(lived, id, last);
});

test("a page that is seen again waits no longer, and looks at once whether its connection lives", async () => {
  const room = "agent:954";
  const lived = await Lived.open(await browser.page(), `${proxy.url}`, room);
  const { id } = await lived.state();
  await lived.seen(await publish(server, room, 5));
  const other = await browser.page();
  await other.bringToFront();
  await lived.noted("hidden");
  proxy.cut();
  await lived.status("reconnecting");
  const last = await publish(server, room, 5, 5);
  proxy.mend();
  await lived.page.bringToFront();
  await lived.noted("connected", "visible");
  await wentOn(lived, id, last);

  await other.bringToFront();
  const before = await lived.count("write heartbeat");
  await lived.page.waitForFunction(() => window.life.log.at(-1) === "hidden", undefined, { polling: 100 });
  expect(await lived.count("write heartbeat")).toBe(before);
  await lived.page.bringToFront();
  const since = await lived.noted("write heartbeat", "visible");
  expect(since.slice(0, 2)).toEqual(["visible", "write heartbeat"]);
  expect((await lived.state()).status).toBe("connected");
});

test("a page that its user leaves and comes back to is the same page, with the same session", async () => {
  const room = "agent:955";
  const lived = await Lived.open(await browser.page(), server.url, room);
  const { id } = await lived.state();
  await lived.seen(await publish(server, room, 5));
  await lived.page.goto(`${server.url}api/ws/status`);
  // An open socket would have kept the page out of the cache, or been found dead.
  await gone(server);
  const last = await publish(server, room, 5, 5);
  await lived.page.goBack({ waitUntil: "commit" });
  const log = await lived.noted("pageshow true");
  expect(log).toContain("pagehide true");
  await wentOn(lived, id, last);
  expect(await lived.count("socket")).toBe(2);
});

test("a page that is frozen has no socket, and goes on when it is thawed", async () => {
  const room = "agent:956";
  const lived = await Lived.open(await browser.page(), server.url, room);
  const { id } = await lived.state();
  await lived.seen(await publish(server, room, 5));
  const other = await browser.page();
  await other.bringToFront();
  await lived.noted("hidden");
  await lived.cdp.send("Page.setWebLifecycleState", { state: "frozen" });
  await gone(server);
  const last = await publish(server, room, 5, 5);
  await lived.cdp.send("Page.setWebLifecycleState", { state: "active" });
  await lived.noted("resume");
  await lived.page.bringToFront();
  await wentOn(lived, id, last);
  expect(await lived.count("socket")).toBe(2);
});

test("a machine that slept until the server gave it up goes on where it was", async () => {
  const room = "agent:957";
  const lived = await Lived.open(await browser.page(), `${quick.url}?wait=10`, room);
  const { id } = await lived.state();
  await lived.seen(await publish(quick, room, 5));
  browser.suspend();
  await gone(quick);
  const last = await publish(quick, room, 20, 5);
  browser.resume();
  await wentOn(lived, id, last);
});

test("a token that ended during the sleep is replaced before connecting; a provider that fails is told, and asked again", async () => {
  const room = "agent:958";
  const target = await browser.page();
  const lifetime = 6;
  const ends = Date.now() + lifetime * 1_000;
  const short = tokenFor("sleeper", lifetime);
  let fails = 0;
  let awake = false;
  await target.exposeFunction("askToken", () => {
    if (!awake) return short;
    fails += 1;
    if (fails <= 2) throw new Error("the session service is away");
    return tokenFor("sleeper", 3_600);
  });
  const lived = await Lived.open(target, `${quick.url}?wait=100`, room);
  const { id } = await lived.state();
  await lived.seen(await publish(quick, room, 5));
  const before = (await lived.log()).length;
  browser.suspend();
  await gone(quick);
  const last = await publish(quick, room, 5, 5);
  await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(ends), 20_000);
  awake = true;
  browser.resume();
  await wentOn(lived, id, last);
  const after = (await lived.log()).slice(before);
  const told = after.filter((line) => line.startsWith("error"));
  expect(told).toEqual([1, 2].map(() => "error token_failed: no token: the session service is away"));
  // No attempt was made with what was at hand.
  expect(after.indexOf("ask")).toBeLessThan(after.indexOf("socket"));
  expect(after.filter((line) => line === "socket")).toHaveLength(1);
  expect(await lived.state()).toMatchObject({ authenticated: true, userId: "sleeper" });
});
