/** The outage simulator: faults that the page makes, what it shows of them, and that its numbers are the server's. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from "vitest";
import { DemoPage, launch } from "./page.ts";
import { DemoServer } from "./server.ts";

const server = new DemoServer({ engine: "sqlite", kept: true });
let browser: Browser;
let demo: DemoPage;

beforeAll(async () => {
  await server.start();
  browser = await launch();
  demo = await DemoPage.open(browser, server.url);
  await demo.tilesFilled();
  await demo.roomsJoined();
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

interface Recovery {
  room: string;
  from: number;
  to: number;
  received: number;
}

/** What the page says about each room that moved while it was away. */
const recoveries = () =>
  demo.page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>("[data-recovery]")].map(({ dataset }) => ({
      room: dataset.recovery ?? "",
      from: Number(dataset.from),
      to: Number(dataset.to),
      received: Number(dataset.received),
    })),
  );

/** Makes an outage by a button, and resolves when the page says that all is made good. */
const outage = (button: string) =>
  demo.passes(["verdict=away", "verdict=whole"], () => demo.page.click(`[data-testid="${button}"]`));

/** Each room's events between the page's two offsets, as the server holds them. */
async function checkWithServer(rooms: readonly Recovery[]): Promise<void> {
  const session = (await (await fetch(new URL("/dev/session", server.url))).json()) as { token: string };
  for (const { room, from, to, received } of rooms) {
    const query = new URLSearchParams({ since: String(from), limit: "1000" });
    const response = await fetch(new URL(`/api/ws/rooms/${room}/history?${query}`, server.url), {
      headers: { authorization: `Bearer ${session.token}` },
    });
    const { events } = (await response.json()) as { events: { offset: number }[] };
    const missed = events.map(({ offset }) => offset).filter((offset) => offset <= to);
    expect(missed, room).toEqual(Array.from({ length: to - from }, (_, index) => from + 1 + index));
    expect(received, room).toBe(missed.length);
  }
}

describe("the outage simulator", () => {
  test("says that there was none, and offers all three faults", async () => {
    await demo.page.waitForSelector('[data-testid="outage"][data-verdict="none"]');
    expect(await demo.page.getByTestId("kill").isEnabled()).toBe(true);
    expect(await demo.page.getByTestId("drop").isEnabled()).toBe(true);
  });

  test("shows a dropped connection's recovery, with the numbers of the server", async () => {
    await outage("drop");
    const rooms = await recoveries();
    expect(rooms.map(({ room }) => room)).toContain("dashboard:overview");
    await checkWithServer(rooms);
    const sum = rooms.reduce((all, { received }) => all + received, 0);
    // Beside the button that visitors see first, and beside the numbers of the rooms.
    for (const place of ["pitch", "outage"]) {
      const sentence = demo.page.getByTestId(place).getByText(`${sum} events recovered, nothing lost`);
      await sentence.waitFor();
    }
    const log = await demo.text("log");
    expect(log).toContain("You cut the connection, for 2 s");
    expect(log).toMatch(/Lost: 4000 dropped_by_visitor; trying in \d/);
    expect(log).toContain("Session resumed after");
  });

  test("delays frames in both directions, in order", async () => {
    const roundTrip = (long: boolean) =>
      demo.page.waitForFunction((wanted) => {
        const text = document.querySelector('[data-testid="round-trip"]')?.textContent ?? "";
        const ms = Number.parseFloat(text.replaceAll(",", ""));
        return wanted ? ms >= 3000 : ms < 3000;
      }, long);
    // The longest delay: no machine that works takes as long by itself.
    await demo.page.getByText("1.5 s", { exact: true }).click();
    await roundTrip(true);
    const before = await demo.offset("dashboard:overview");
    await demo.offsetAbove("dashboard:overview", before + 4);
    await demo.page.getByText("no time", { exact: true }).click();
    await roundTrip(false);
    expect(await demo.text("missed")).toBe("no event missed");
  });

  test("kills the server, which comes back and has lost nothing", async () => {
    onTestFailed(() => {
      process.stderr.write(server.log);
    });
    const client = await demo.text("client-id");
    const killedAt = Date.now();
    await outage("kill");
    await demo.status("connected");
    await demo.roomsJoined(true);
    const status = (await (await fetch(new URL("/api/ws/status", server.url))).json()) as {
      uptimeSeconds: number;
    };
    expect(status.uptimeSeconds).toBeLessThan((Date.now() - killedAt) / 1000);
    expect(await demo.text("client-id")).toBe(client);
    expect(await demo.text("missed")).toBe("no event missed");
    await checkWithServer(await recoveries());
    const log = await demo.text("log");
    expect(log).toContain("You had the server killed, for 2 s");
    expect(log).toMatch(/Lost: .+; trying in/);
    await demo.offsetAbove("dashboard:overview", await demo.offset("dashboard:overview"));
  });

  test("nothing else went wrong in the page", () => {
    expect(demo.errors.filter((error) => !/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET/.test(error))).toEqual(
      [],
    );
  });
});
