/** Chromium, Firefox and WebKit against the real server: connecting, recovery, tabs, sleep, the back/forward cache. */
import { rmSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFailed, test, vi } from "vitest";
import { TcpProxy } from "../life/proxy.ts";
import { Server } from "../tabs/server.ts";
import { buildPage } from "../tabs/tabs.ts";
import { ENGINES, type Engine, type EnginePage, KEEPS_PAGES, launch, until } from "./engine.ts";

let pages: string[];
/** With a page of its own client, with a heartbeat that is over while a test waits, and with a page that shares its connection. */
let server: Server;
let quick: Server;
let shared: Server;
let proxy: TcpProxy;

const numbers = (last: number) => Array.from({ length: last }, (_, at) => at + 1);
const eventually = (check: () => unknown) => vi.waitFor(check, { timeout: 60_000, interval: 50 });
const gone = (from: Server) => eventually(async () => expect((await from.status()).totalClients).toBe(0));

async function publish(from: Server, room: string, count: number, after = 0): Promise<number> {
  for (let n = after + 1; n <= after + count; n += 1) await from.publish(room, "tick", { n });
  return after + count;
}

beforeAll(async () => {
  pages = await Promise.all([buildPage(new URL("../life/page", import.meta.url)), buildPage()]);
  const [life, tabs] = pages as [string, string];
  server = new Server(life);
  quick = new Server(life, { HEARTBEAT: "500ms", PONG_TIMEOUT: "1s" });
  shared = new Server(tabs);
  await Promise.all([server.start(), quick.start(), shared.start()]);
  proxy = new TcpProxy(() => server.port);
  await proxy.start();
});

afterAll(async () => {
  proxy?.close();
  await Promise.all([server?.stop(), quick?.stop(), shared?.stop()]);
  for (const page of pages ?? []) rmSync(page, { recursive: true, force: true });
});

describe.each(ENGINES)("%s", (name) => {
  let engine: Engine;
  const room = (id: string) => `agent:${name}-${id}`;

  beforeEach(async () => {
    engine = await launch(name);
    onTestFailed(() => {
      process.stderr.write(server.log + quick.log + shared.log);
    });
  });

  afterEach(async () => {
    await engine?.close();
    proxy.mend();
    await Promise.all([gone(server), gone(quick), gone(shared)]);
  });

  /** A page that is connected, and in the room; gives the id of its session. */
  async function open(page: EnginePage, url: string, of: string): Promise<string> {
    await page.goto(url);
    await until(page, 'window.life?.client.state.status === "connected"');
    await page.evaluate(`void window.life.join(${JSON.stringify(of)})`);
    await until(page, `window.life.client.roomState(${JSON.stringify(of)})?.status === "joined"`);
    return page.evaluate("window.life.client.clientId");
  }

  /** The numbers that came, once this one was among them. */
  async function seen(page: EnginePage, last: number): Promise<number[]> {
    await until(page, `window.life.seen.includes(${last})`);
    return page.evaluate("window.life.seen");
  }

  /** The same session went on, nothing was missed, nothing came twice. */
  async function wentOn(page: EnginePage, id: string, last: number): Promise<void> {
    expect(await seen(page, last)).toEqual(numbers(last));
    expect(await page.evaluate("window.life.client.state.resumed")).toBe(true);
    expect(await page.evaluate("window.life.client.clientId")).toBe(id);
    const [, ...again] = await page.evaluate<unknown[]>("window.life.recovered");
    expect(again.length).toBeGreaterThan(0);
    expect(again).not.toContain(false);
  }

  test("connects, joins, and hears everything in order", async () => {
    const page = await engine.page();
    await open(page, server.url, room("1"));
    expect(await seen(page, await publish(server, room("1"), 20))).toEqual(numbers(20));
    expect((await server.status()).totalClients).toBe(1);
  });

  test("a connection that is cut is recovered", async () => {
    const page = await engine.page();
    const id = await open(page, `${proxy.url}?wait=100`, room("2"));
    await seen(page, await publish(server, room("2"), 5));
    proxy.cut();
    await until(page, 'window.life.client.state.status !== "connected"');
    const last = await publish(server, room("2"), 20, 5);
    proxy.mend();
    // Attempts that failed meanwhile may have been the last of their series: somebody wants something.
    await page.evaluate("void window.life.client.connect().catch(() => {})");
    await wentOn(page, id, last);
  });

  test("tabs share one connection, and go on when the one that has it is closed", async () => {
    const tabs = [await engine.page(), await engine.page()];
    const of = room("3");
    for (const tab of tabs) {
      await tab.goto(shared.url);
      await until(tab, 'window.tab?.client.state.status === "connected"');
      await tab.evaluate(`void window.tab.join(${JSON.stringify(of)})`);
      await until(tab, `window.tab.client.roomState(${JSON.stringify(of)})?.status === "joined"`);
    }
    expect((await shared.status()).totalClients).toBe(1);
    let last = await publish(shared, of, 10);
    const hasAll = async (tab: EnginePage) => {
      await until(tab, `window.tab.seen[${JSON.stringify(of)}].includes(${last})`);
      expect(await tab.evaluate(`window.tab.seen[${JSON.stringify(of)}]`)).toEqual(numbers(last));
    };
    for (const tab of tabs) await hasAll(tab);
    const open = await Promise.all(tabs.map((tab) => tab.evaluate<number>("window.tab.open()")));
    expect([...open].sort()).toEqual([0, 1]);
    const [leader, other] = (open[0] === 1 ? tabs : tabs.reverse()) as [EnginePage, EnginePage];
    await leader.close();
    last = await publish(shared, of, 10, last);
    await hasAll(other);
    await eventually(async () => expect((await shared.status()).totalClients).toBe(1));
  });

  test("a machine that slept until the server gave it up goes on where it was", async () => {
    const page = await engine.page();
    const id = await open(page, `${quick.url}?wait=10`, room("4"));
    await seen(page, await publish(quick, room("4"), 5));
    engine.suspend();
    await gone(quick);
    const last = await publish(quick, room("4"), 20, 5);
    engine.resume();
    await wentOn(page, id, last);
  });

  test("a page that its user leaves and comes back to is live: the same one where the browser keeps it, else a new one", async () => {
    const page = await engine.page();
    const id = await open(page, server.url, room("5"));
    await seen(page, await publish(server, room("5"), 5));
    await page.evaluate("void (window.before = true)");
    await page.goto(`${server.url}api/ws/status`);
    // An open socket would have kept the page out of the cache, or been found dead.
    await gone(server);
    const last = await publish(server, room("5"), 5, 5);
    await page.back();
    await until(page, 'window.life?.client.state.status === "connected"');
    const kept = await page.evaluate("window.before === true");
    expect(kept, "the browser kept the page").toBe(KEEPS_PAGES[name]);
    if (kept) {
      expect(await page.evaluate("window.life.log")).toContain("pageshow true");
      await wentOn(page, id, last);
    } else {
      const of = JSON.stringify(room("5"));
      await page.evaluate(`void window.life.join(${of})`);
      await until(page, `window.life.client.roomState(${of})?.status === "joined"`);
      await publish(server, room("5"), 5, last);
      expect(await seen(page, last + 5)).toEqual(numbers(last + 5).slice(last));
      expect((await server.status()).totalClients).toBe(1);
    }
  });
});
