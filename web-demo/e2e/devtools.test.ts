/** The devtools in the demo: what the connection does is seen, accessible, and a saved session holds no token. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DemoPage, launch } from "./page.ts";
import { DemoServer } from "./server.ts";

const server = new DemoServer({ engine: "memory" });
let browser: Browser;

beforeAll(async () => {
  await server.start();
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

test("frames, an outage and its recovery are on the timeline; the session is saved without tokens", async () => {
  const demo = await DemoPage.open(browser, server.url);
  const { page } = demo;
  await demo.roomsJoined();
  await page.getByRole("button", { name: "Show the devtools" }).click();
  const panel = page.getByRole("region", { name: "Realtime devtools" });
  await panel.waitFor();
  const row = (type: string) => panel.locator(`tr[data-type="${type}"]`).first();
  await row("metric_update").waitFor();
  await page.click('[data-testid="drop"]');
  await panel.getByRole("searchbox").fill("reconnected");
  await row("reconnected").waitFor();
  await row("reconnected").getByRole("button").click();
  expect(await panel.locator("pre").first().textContent()).toContain('"recovered": true');
  expect(await demo.accessibilityProblems()).toEqual([]);
  await page.screenshot({ path: fileURLToPath(new URL("../shots/devtools.png", import.meta.url)) });

  const [saved] = await Promise.all([
    page.waitForEvent("download"),
    panel.getByRole("button", { name: "Save session" }).click(),
  ]);
  const file = await readFile(await saved.path(), "utf8");
  expect(file).toContain('"type":"connect"');
  const { token } = (await (await fetch(new URL("/dev/session", server.url))).json()) as { token: string };
  // Every token of this server begins with the same header.
  expect(file).not.toContain(token.slice(0, 20));

  await panel.getByRole("tab", { name: "Rooms" }).click();
  await panel.locator('tr[data-room="dashboard:overview"]').waitFor();
  await page.getByRole("button", { name: "Hide the devtools" }).click();
  await panel.waitFor({ state: "detached" });
  expect(demo.errors).toEqual([]);
  await demo.close();
});
