/** The charts show what the store has: after live updates, over the end of a span, after reconnects and restarts. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nextSpan, type RangeName, readTable, showTable, storedTable, updates } from "./chart-table.ts";
import { DemoPage, launch } from "./page.ts";
import { DemoServer } from "./server.ts";

/** The values of `voice_call` that the table shows. */
const CALLS = ["active", "avgDurationSec"] as const;

let browser: Browser;

beforeAll(async () => {
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
});

describe.each(["sqlite", "memory"] as const)("with the %s engine", (engine) => {
  const server = new DemoServer({ engine });
  let demo: DemoPage;

  beforeAll(async () => {
    await server.start();
    demo = await DemoPage.open(browser, server.url);
    await demo.tilesFilled();
  });

  afterAll(async () => {
    await demo?.close();
    await server.remove();
  });

  /** The page's table is the store's, value by value; both may round the last bits of a sum in their own way. */
  const agrees = async (interval?: "1m" | "1h") => {
    const table = await readTable(demo.page);
    const stored = await storedTable(server.url, table, CALLS, interval);
    expect(table.rows.map(({ t }) => t)).toEqual(stored.map(({ t }) => t));
    for (const [index, { numbers }] of stored.entries()) {
      const shown = table.rows[index]?.numbers ?? [];
      expect(shown).toHaveLength(numbers.length);
      for (const [at, number] of numbers.entries()) expect(shown[at]).toBeCloseTo(number, 9);
    }
    return table.rows;
  };

  test.each([
    ["1 h", "1m", 60],
    ["24 h", "1h", 24],
    ["7 d", "1h", 167],
  ] as [RangeName, "1m" | "1h", number][])("a fresh demo has a past: %s", async (range, interval, least) => {
    await showTable(demo.page, "Calls", range);
    await updates(demo.page, 2);
    const rows = await agrees(interval);
    expect(rows.length).toBeGreaterThanOrEqual(least);
    expect(await demo.page.getByText("sample data, filled in by the demo").isVisible()).toBe(true);
  });

  test("points are stored ones first, then live ones", async () => {
    await showTable(demo.page, "Calls", "2 min");
    await updates(demo.page, 3);
    expect((await agrees()).length).toBeGreaterThanOrEqual(5);
  });

  test("live updates are added to the newest span, and a new one begins when it ends", async () => {
    await showTable(demo.page, "Calls", "1 h");
    await updates(demo.page, 3);
    await agrees("1m");
    const [open] = (await readTable(demo.page)).rows.slice(-1);
    await nextSpan(demo.page);
    await updates(demo.page, 2);
    const rows = await agrees("1m");
    // The span that was open is closed, and not taken for the new one.
    expect(rows.slice(0, -1).map(({ t }) => t)).toContain(open?.t);
  });

  test("what was missed while the connection was lost is there after it", async () => {
    await showTable(demo.page, "Calls", "1 h");
    await demo.passes(["status=reconnecting", "status=connected"], () =>
      demo.page.click('[data-testid="drop"]'),
    );
    await demo.roomsJoined(true);
    await updates(demo.page, 2);
    await agrees("1m");
  });

  test("a page that was disconnected and connects again has no gap", async () => {
    await demo.page.click('[data-testid="disconnect"]');
    await demo.status("closed");
    await demo.page.click('[data-testid="connect"]');
    await demo.status("connected");
    await updates(demo.page, 2);
    await agrees("1m");
  });

  test("after the server was killed, the chart is what its successor has stored", async () => {
    const before = await readTable(demo.page);
    await server.kill();
    await demo.status("reconnecting");
    await server.start();
    await demo.status("connected");
    await demo.roomsJoined(engine === "sqlite");
    await updates(demo.page, 3);
    await agrees("1m");
    const [open] = before.rows.slice(-1);
    const same = (await readTable(demo.page)).rows.find(({ t }) => t === open?.t);
    // Kept by the file, with what came after; the memory engine's points are other ones.
    if (engine === "sqlite") expect(same?.numbers[4]).toBeGreaterThanOrEqual(open?.numbers[4] as number);
  });

  test("nothing went wrong in the page", () => {
    expect(demo.errors.filter((error) => !/ERR_CONNECTION_REFUSED/.test(error))).toEqual([]);
  });
});
