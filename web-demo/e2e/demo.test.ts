/** What a visitor of the demo sees, with the real server under it. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from "vitest";
import { DemoPage, launch, METRICS, withoutLiveEvents } from "./page.ts";
import { DemoServer } from "./server.ts";

/** In memory: the restart is to lose the rooms' history, and the page must tell that too. */
const server = new DemoServer({ engine: "memory" });
let browser: Browser;
let demo: DemoPage;

const tileValue = (metric: string) => `[data-testid="tile-${metric}"] [data-testid="value"]`;

beforeAll(async () => {
  await server.start();
  browser = await launch();
  demo = await DemoPage.open(browser, server.url);
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

describe("a page that was just opened", () => {
  test("fills its tiles with what the server holds already: no live event is needed", async () => {
    const fresh = await DemoPage.open(browser, server.url, {}, withoutLiveEvents);
    await fresh.tilesFilled();
    await fresh.close();
  });

  test("shows agents, jobs and clips from the snapshot", async () => {
    await demo.page.waitForFunction(() => document.querySelectorAll("[data-agent]").length === 8);
    await demo.page.waitForFunction(() => document.querySelectorAll("[data-job]").length >= 3);
    expect(await demo.changed('[data-testid="plays"]', "")).toMatch(/^[\d,]+ in total$/);
  });

  test("does not jump while it fills", async () => {
    const fresh = await DemoPage.open(browser, server.url);
    await fresh.tilesFilled();
    await fresh.roomsJoined();
    await fresh.offsetAbove("dashboard:overview", await fresh.offset("dashboard:overview"));
    const shift = await fresh.layoutShift();
    expect(shift).toBeLessThan(0.05);
    await fresh.close();
  });
});

describe("a live page", () => {
  test("has numbers, charts, jobs and clips that move", async () => {
    for (const metric of METRICS)
      await demo.changed(tileValue(metric), await demo.text("value", `[data-testid="tile-${metric}"]`));
    await demo.changed('[data-testid="plays"]', await demo.text("plays"));
    await demo.changed('[data-testid="jobs"]', await demo.text("jobs"));
    await demo.offsetAbove("dashboard:overview", await demo.offset("dashboard:overview"));
    const curve = ".recharts-area-curve";
    const before = await demo.page.locator(curve).first().getAttribute("d");
    await demo.page.waitForFunction(
      ([at, old]) => document.querySelector(at as string)?.getAttribute("d") !== old,
      [curve, before],
    );
    await demo.page.waitForFunction(
      () => Number(document.querySelector('[data-testid="rate"]')?.textContent) > 1,
    );
  });

  test("shows the chart of another metric when asked", async () => {
    await demo.page.getByText("System", { exact: true }).click();
    await demo.page.waitForFunction(() => document.body.textContent?.includes("CPU"));
    await demo.page.getByText("Calls", { exact: true }).click();
  });

  test("joins a room by name and leaves it", async () => {
    await demo.page.fill('[data-testid="room-name"]', "agent:3");
    await demo.page.click('[data-testid="room-join"]');
    await demo.page.waitForSelector('[data-room="agent:3"][data-status="joined"]');
    await demo.page.getByRole("button", { name: "Leave agent:3" }).click();
    await demo.page.waitForSelector('[data-room="agent:3"]', { state: "detached" });
  });

  test.each([
    ["one that this user may not enter", "billing:secret", /^billing:secret: .+\(forbidden\)$/],
    ["one that is none", "no room", /^no room: .+\(bad_request\)$/],
  ])("says why a room is refused: %s", async (_, room, reason) => {
    const before = await demo.text("refusal");
    await demo.page.fill('[data-testid="room-name"]', room);
    await demo.page.click('[data-testid="room-join"]');
    await demo.page.waitForFunction(
      ([name]) => document.querySelector('[data-testid="refusal"]')?.textContent?.startsWith(`${name}:`),
      [room],
    );
    expect(await demo.text("refusal")).toMatch(reason);
    expect(await demo.text("refusal")).not.toBe(before);
    await demo.page.waitForSelector(`[data-room="${room}"]`, { state: "detached" });
  });

  test("shows an administrator's broadcast as a banner, here and on every other page", async () => {
    const other = await DemoPage.open(browser, server.url);
    await other.roomsJoined();
    await demo.page.fill('[data-testid="broadcast-message"]', "Maintenance at noon");
    await demo.page.selectOption("select", "warning");
    // The demo's own announcements come between, and take the banner's place.
    const shown = ["banner=Maintenance at noon"];
    await other.passes(shown, () =>
      demo.passes(shown, () => demo.page.click('[data-testid="broadcast-send"]')),
    );
    const banner = demo.page.locator('[data-testid="banner"]');
    const text = await banner.locator("p + p").textContent();
    await demo.page.getByRole("button", { name: "Dismiss the announcement" }).click();
    await banner.getByText(text ?? "", { exact: true }).waitFor({ state: "detached" });
    expect(other.errors).toEqual([]);
    await other.close();
  });

  test("comes back from a dropped connection with nothing missed", async () => {
    await demo.roomsJoined();
    const client = await demo.text("client-id");
    const before = await demo.offset("dashboard:overview");
    await demo.passes(["status=reconnecting", "status=connected"], () =>
      demo.page.click('[data-testid="drop"]'),
    );
    await demo.roomsJoined(true);
    await demo.offsetAbove("dashboard:overview", before);
    expect(await demo.text("log")).toContain("Session resumed");
    expect(await demo.text("client-id")).toBe(client);
    expect(await demo.text("missed")).toBe("no event missed");
  });

  test("can be disconnected and connected again", async () => {
    await demo.page.click('[data-testid="disconnect"]');
    await demo.status("closed");
    await demo.page.click('[data-testid="connect"]');
    await demo.status("connected");
    await demo.roomsJoined();
    await demo.offsetAbove("dashboard:overview", await demo.offset("dashboard:overview"));
  });

  test("has reported no error so far", () => {
    expect(demo.errors).toEqual([]);
  });
});

describe("a page whose server is killed", () => {
  test("shows that it reconnects, gets its rooms back and moves on", async () => {
    onTestFailed(() => {
      process.stderr.write(server.log);
    });
    const seen = demo.errors.length;
    await server.kill();
    await demo.status("reconnecting");
    // At least one attempt has failed: the page goes on trying.
    await demo.page
      .getByTestId("log")
      .getByText(/^No answer yet, \d+ attempts?; again in /)
      .waitFor();
    await server.start();
    await demo.status("connected");
    await demo.roomsJoined();
    for (const metric of METRICS)
      await demo.changed(tileValue(metric), await demo.text("value", `[data-testid="tile-${metric}"]`));
    await demo.offsetAbove("dashboard:overview", await demo.offset("dashboard:overview"));
    // Only memory was lost with the server, and the page says so: nobody claims a recovery.
    expect(await demo.text("missed")).toBe("went on from snapshots");
    // The browser itself reports each attempt to reach a server that isn't there; nothing else may have gone wrong.
    const unexpected = demo.errors.slice(seen).filter((error) => !/ERR_CONNECTION_REFUSED/.test(error));
    expect(unexpected).toEqual([]);
  });
});

describe("a page without a session", () => {
  test("says what to start, and goes on when it is there", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.route("**/dev/session", (route) => route.fulfill({ status: 404, body: "not found" }));
    await page.goto(server.url);
    await page.getByText("osbackend serve --dev").waitFor();
    await page.unroute("**/dev/session");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.waitForSelector('[data-testid="status"][data-status="connected"]');
    await context.close();
  });
});
