/** The page of the HTTP API: Swagger UI on this server's document, under a policy that lets it load nothing from elsewhere. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch } from "./page.ts";
import { DemoServer } from "./server.ts";

const server = new DemoServer({ engine: "memory" });
const errors: string[] = [];
const elsewhere: string[] = [];
let browser: Browser;
let page: Page;

beforeAll(async () => {
  await server.start();
  browser = await launch();
  page = await browser.newPage();
  // The console also tells of each load that the policy refuses.
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== "data:" && `${origin}/` !== server.url) elsewhere.push(request.url());
  });
  await page.goto(`${server.url}openapi`);
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

test("it shows every call, and makes one", async () => {
  const calls = page.locator(".opblock-summary-path");
  await calls.first().waitFor();
  const paths = (await calls.allTextContents()).map((path) => path.replaceAll("\u200b", ""));
  const document = (await (await fetch(`${server.url}openapi.json`)).json()) as { paths: object };
  expect(paths.toSorted()).toEqual(Object.keys(document.paths).toSorted());
  expect(paths).toContain("/api/ws/metrics");

  await page.locator("#operations-rooms-status .opblock-summary-control").click();
  await page.locator("#operations-rooms-status .try-out__btn").click();
  await page.locator("#operations-rooms-status .execute").click();
  const answer = page.locator("#operations-rooms-status .live-responses-table .response-col_status");
  await expect.poll(() => answer.last().textContent()).toContain("200");
});

test("it loads nothing from elsewhere, and nothing that it does is refused", () => {
  expect(elsewhere).toEqual([]);
  expect(errors).toEqual([]);
});
