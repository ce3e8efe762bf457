/** The switch for one connection in all tabs: thrown in one, followed by the others, and a tab that closes takes nothing away. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DemoPage, launch } from "./page.ts";
import { DemoServer } from "./server.ts";

const server = new DemoServer({ engine: "sqlite" });
let browser: Browser;

beforeAll(async () => {
  await server.start();
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

const summary = (demo: DemoPage, text: string) =>
  demo.page.locator('[data-testid="viewer-count"]', { hasText: text }).waitFor();

test("tabs that share have one connection; when its tab closes, or it is cut, the other goes on", async () => {
  const first = await DemoPage.open(browser, server.url);
  await first.roomsJoined();
  const second = await first.another();
  await second.roomsJoined();
  await summary(second, "1 person, 2 connections");
  expect(await first.text("client-id")).not.toBe(await second.text("client-id"));

  await first.page.getByRole("switch", { name: "One connection for all tabs" }).click();
  await second.page.locator('[role="switch"][aria-checked="true"]').waitFor();
  await summary(first, "1 person, 1 connection");
  await summary(second, "1 person, 1 connection");
  await second.roomsJoined();
  expect(await first.text("client-id")).toBe(await second.text("client-id"));

  // Whichever tab has it: cut from this one, lost and recovered in both.
  await second.page.click('[data-testid="drop"]');
  for (const { page } of [first, second])
    await page.waitForSelector('[data-testid="outage"][data-verdict="whole"]');

  await first.page.close();
  await second.offsetAbove("dashboard:overview", (await second.offset("dashboard:overview")) + 3);
  await second.roomsJoined();
  expect(await second.text("missed")).toBe("no event missed");
  await summary(second, "1 person, 1 connection");
  expect([...first.errors, ...second.errors]).toEqual([]);
  await second.close();
});
