/** Everyone can use the page: it fits, is legible, works by keyboard, and keeps still for who wants that. Makes the pictures. */
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { showTable } from "./chart-table.ts";
import { Line } from "./line.ts";
import { DemoPage, launch } from "./page.ts";
import { DemoServer } from "./server.ts";

const server = new DemoServer({ engine: "sqlite", kept: true });
const shots = fileURLToPath(new URL("../shots/", import.meta.url));
let browser: Browser;
let other: DemoPage;

beforeAll(async () => {
  await mkdir(shots, { recursive: true });
  await server.start();
  browser = await launch();
  // Somebody else is there, too.
  other = await DemoPage.open(browser, `${server.url}?as=Grace`);
  await other.tilesFilled();
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

describe.each([
  ["light", { colorScheme: "light", viewport: { width: 1440, height: 900 } }],
  ["dark", { colorScheme: "dark", viewport: { width: 1440, height: 900 } }],
  ["phone", { colorScheme: "light", viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }],
  [
    "phone-dark",
    { colorScheme: "dark", viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
  ],
] as const)("%s", (name, options) => {
  const line = new Line();
  let demo: DemoPage;

  beforeAll(async () => {
    demo = await DemoPage.open(browser, server.url, { ...options, deviceScaleFactor: 1 }, line.prepare);
    await demo.tilesFilled();
    await demo.roomsJoined();
    await demo.changed('[data-testid="plays"]', await demo.text("plays"));
  });

  afterAll(async () => {
    expect(demo.errors).toEqual([]);
    await demo.close();
  });

  const isFine = async () => {
    const [content, window] = await demo.page.evaluate(() => [
      document.documentElement.scrollWidth,
      innerWidth,
    ]);
    expect(content).toBeLessThanOrEqual(window as number);
    expect(await demo.accessibilityProblems()).toEqual([]);
  };

  test("fits and is legible, live and after an outage", async () => {
    await isFine();
    line.hold();
    await demo.page.click('[data-testid="drop"]');
    await demo.page.waitForSelector('[data-testid="outage"][data-verdict="away"]');
    // Also where it is not fine: the tests that follow need the connection.
    await isFine().finally(() => line.release());
    await demo.page.waitForSelector('[data-testid="outage"][data-verdict="whole"]');
    await demo.roomsJoined();
    await isFine();
    // The head sticks to where the page is scrolled to.
    await demo.page.evaluate(() => scrollTo(0, 0));
    await demo.page.screenshot({ path: `${shots}${name}.png`, fullPage: true });
  });

  test("fits and is legible with the stored past, as a chart and as a table", async () => {
    await demo.page.getByText("24 h", { exact: true }).click();
    await demo.page.waitForSelector('[data-testid="trend"][data-range="day"] .recharts-area-curve');
    await isFine();
    const trend = demo.page.locator("section", { has: demo.page.getByTestId("trend") }).first();
    await trend.screenshot({ path: `${shots}${name}-day.png` });
    await showTable(demo.page, "System", "1 h");
    await isFine();
    await trend.screenshot({ path: `${shots}${name}-table.png` });
  });

  test("fits and is legible with the list of who is there", async () => {
    await demo.page.getByTestId("viewers").click();
    await demo.page.waitForSelector('[data-viewer="demo-grace"]');
    await isFine();
    await demo.page.screenshot({ path: `${shots}${name}-viewers.png` });
    await demo.page.keyboard.press("Escape");
  });
});

describe("by keyboard alone", () => {
  let demo: DemoPage;

  beforeAll(async () => {
    demo = await DemoPage.open(browser, server.url);
    await demo.tilesFilled();
    await demo.roomsJoined();
  });

  afterAll(() => demo.close());

  /** Goes on by Tab until the focused element, or its label, has this text or name. */
  const tabTo = async (name: string) => {
    for (let step = 0; step < 60; step++) {
      await demo.page.keyboard.press("Tab");
      const found = await demo.page.evaluate((wanted) => {
        const element = document.activeElement;
        const label = element instanceof HTMLInputElement ? element.labels?.[0]?.textContent : undefined;
        return [element?.getAttribute("aria-label"), element?.textContent, label].some(
          (text) => text?.trim() === wanted,
        );
      }, name);
      if (found) return;
    }
    throw new Error(`Tab never came to ${name}`);
  };

  test("every stop shows that it has the focus, and none is out of sight", async () => {
    const stops: string[] = [];
    for (;;) {
      await demo.page.keyboard.press("Tab");
      const stop = await demo.page.evaluate(() => {
        const element = document.activeElement;
        if (!element || element === document.body) return null;
        // A radio button shows it by its label.
        const shown =
          element instanceof HTMLInputElement && element.type === "radio" ? element.labels?.[0] : element;
        const { outlineStyle, outlineWidth } = getComputedStyle(shown ?? element);
        const { width, height } = (shown ?? element).getBoundingClientRect();
        const visible =
          outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 2 && width > 8 && height > 8;
        const name = element.getAttribute("aria-label") ?? element.textContent ?? element.tagName;
        return { visible, name: `${element.tagName} ${name.slice(0, 40)}` };
      });
      if (!stop) break;
      expect(stop.visible, stop.name).toBe(true);
      stops.push(stop.name);
      expect(stops.length).toBeLessThan(60);
    }
    expect(stops.length).toBeGreaterThan(12);
  });

  test("another metric and range are chosen by arrow keys, and shown as a table", async () => {
    await tabTo("Calls");
    await demo.page.keyboard.press("ArrowRight");
    await tabTo("2 min");
    await demo.page.keyboard.press("ArrowRight");
    await tabTo("Show as a table");
    await demo.page.keyboard.press("Enter");
    await demo.page.waitForSelector(
      '[data-range="hour"] [data-testid="chart-table"][data-metric="call_cost"]',
    );
    const table = await demo.page.locator('[data-testid="chart-table"] caption').textContent();
    expect(table).toBe("Spend over the last hour, newest first");
  });

  test("the list of who is there opens, and closes by Escape", async () => {
    await demo.page.getByTestId("viewers").focus();
    await demo.page.keyboard.press("Enter");
    await demo.page.waitForSelector('[data-viewer="demo-grace"]', { state: "visible" });
    await demo.page.keyboard.press("Escape");
    await demo.page.waitForSelector('[data-viewer="demo-grace"]', { state: "hidden" });
    expect(await demo.page.evaluate(() => document.activeElement?.getAttribute("data-testid"))).toBe(
      "viewers",
    );
  });
});

describe("who is there", () => {
  test("is told with counts: other people, other tabs, and who leaves", async () => {
    const demo = await DemoPage.open(browser, server.url);
    await demo.tilesFilled();
    await demo.page.waitForFunction(
      () =>
        document.querySelector('[data-testid="viewer-count"]')?.textContent?.startsWith("2 people") === true,
    );
    const again = await DemoPage.open(browser, server.url);
    await again.tilesFilled();
    await demo.page.getByTestId("viewers").click();
    await demo.page.locator('[data-viewer="demo-user"]', { hasText: "2 connections" }).waitFor();
    const ada = await DemoPage.open(browser, `${server.url}?as=Ada`);
    await demo.page.locator('[data-viewer="demo-ada"]', { hasText: "1 connection" }).waitFor();
    await demo.page.getByRole("status").getByText("Ada joined.").waitFor({ state: "attached" });
    await ada.page.click('[data-testid="disconnect"]');
    await ada.status("closed");
    // The server waits for 15 s whether she comes back (PRESENCE_GRACE).
    await demo.page.waitForSelector('[data-viewer="demo-ada"]', { state: "detached" });
    await Promise.all([demo, again, ada].map((page) => page.close()));
  });
});

describe("what moves, and what is read out", () => {
  test("nothing moves for who asked for less motion", async () => {
    const line = new Line();
    const demo = await DemoPage.open(browser, server.url, { reducedMotion: "reduce" }, line.prepare);
    await demo.tilesFilled();
    line.hold();
    await demo.page.click('[data-testid="drop"]');
    await demo.status("reconnecting");
    const running = await demo.page.evaluate(() =>
      document
        .getAnimations()
        .map((animation) => animation.effect?.getComputedTiming())
        .filter((timing) => Number(timing?.endTime) > 10),
    );
    expect(running).toEqual([]);
    await demo.close();
  });

  test("only a warning interrupts; counters are not read out", async () => {
    const demo = await DemoPage.open(browser, server.url);
    await demo.roomsJoined();
    const live = await demo.page.evaluate(() =>
      [...document.querySelectorAll('[aria-live], [role="alert"], [role="status"], [role="log"]')].map(
        (region) => ({
          role: region.getAttribute("role"),
          text: region.textContent ?? "",
          counts:
            region.querySelector('[data-testid="rate"], [data-testid="value"], [data-testid="offset"]') !==
            null,
        }),
      ),
    );
    expect(live.some(({ role }) => role === "log")).toBe(true);
    expect(live.filter(({ role, text }) => role === "alert" && text !== "").map(({ text }) => text)).toEqual(
      [],
    );
    expect(live.filter(({ counts }) => counts)).toEqual([]);
    await demo.close();
  });

  test("the theme that was chosen is kept", async () => {
    const demo = await DemoPage.open(browser, server.url, { colorScheme: "light" });
    await demo.page.getByRole("button", { name: "Use the dark theme" }).click();
    await demo.page.reload();
    await demo.page.getByRole("button", { name: "Use the light theme" }).waitFor();
    const background = await demo.page.evaluate(
      () => getComputedStyle(document.documentElement).backgroundColor,
    );
    expect(background).toBe("rgb(11, 12, 16)");
    await demo.close();
  });
});
