/** The demo page as a visitor has it: opening it, reading it, waiting for what it shows. */
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { keepTrail } from "./trail.ts";

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROME ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

export const METRICS = ["voice_call", "call_cost", "conversion", "system_health"] as const;
export const DASHBOARD_ROOMS = [
  "dashboard:overview",
  "voice:training",
  "clips:analytics",
  "admin:broadcast",
] as const;

declare global {
  interface Window {
    axe: typeof axe;
    layoutShift: number;
  }
}

/** Runs in the page before anything of it. */
function countLayoutShifts(): void {
  window.layoutShift = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      window.layoutShift += (entry as PerformanceEntry & { value: number }).value;
    }
  }).observe({ type: "layout-shift", buffered: true });
}

/** Keeps every live event from the page: it gets greetings, answers and snapshots only. */
export async function withoutLiveEvents(page: Page): Promise<void> {
  await page.routeWebSocket(/\/ws/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((frame) => {
      const parsed = JSON.parse(String(frame)) as ServerMessage | ServerMessage[];
      const kept = [parsed].flat().filter(({ offset, snapshot }) => offset === undefined || snapshot);
      if (kept.length > 0) socket.send(JSON.stringify(kept));
    });
  });
}

/** As much of a message as tells whether it is a live event. */
interface ServerMessage {
  offset?: number;
  snapshot?: boolean;
}

export class DemoPage {
  readonly page: Page;
  /** What the browser reported as an error: `console.error`, uncaught exceptions, failed requests. */
  readonly errors: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    // Generous: the machine may be busy with something else.
    page.setDefaultTimeout(90_000);
    page.on("console", (message) => {
      if (message.type() === "error") this.errors.push(message.text());
    });
    page.on("pageerror", (error) => this.errors.push(String(error)));
  }

  /** `prepare` is called before the page is loaded. */
  static async open(
    browser: Browser,
    url: string,
    options: BrowserContextOptions = {},
    prepare: (page: Page) => Promise<void> = async () => {},
  ): Promise<DemoPage> {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    await context.addInitScript(countLayoutShifts);
    await context.addInitScript(keepTrail);
    const demo = new DemoPage(await context.newPage());
    await prepare(demo.page);
    await demo.page.goto(url, { waitUntil: "commit" });
    return demo;
  }

  /** Another tab of the same browser. */
  async another(): Promise<DemoPage> {
    const demo = new DemoPage(await this.page.context().newPage());
    await demo.page.goto(this.page.url(), { waitUntil: "commit" });
    return demo;
  }

  close(): Promise<void> {
    return this.page.context().close();
  }

  /** The text of the first element that has this `data-testid`, inside of `scope` where given. */
  async text(id: string, scope = ""): Promise<string> {
    return (await this.page.locator(`${scope} [data-testid="${id}"]`).first().textContent()) ?? "";
  }

  /** Resolves when the page shows a text at `selector` that differs from `before`; gives the new one. */
  async changed(selector: string, before: string): Promise<string> {
    const handle = await this.page.waitForFunction(
      ([at, old]) => {
        const now = document.querySelector(at as string)?.textContent ?? "";
        return now !== "" && now !== old ? now : false;
      },
      [selector, before],
    );
    return (await handle.jsonValue()) as string;
  }

  async status(name: "connected" | "reconnecting" | "closed"): Promise<void> {
    await this.page.waitForSelector(`[data-testid="status"][data-status="${name}"]`);
  }

  /**
   * Resolves when the page has shown each of `steps`, one after the other, since `act` began. What it shows for a moment
   * only is kept by the page itself, as this process may look too late for it.
   */
  async passes(steps: readonly string[], act: () => Promise<void>): Promise<void> {
    const start = await this.page.evaluate(() => window.trail.length);
    await act();
    await this.page.waitForFunction(
      ([from, wanted]) => {
        const left = [...wanted];
        for (const step of window.trail.slice(from)) if (step === left[0]) left.shift();
        return left.length === 0;
      },
      [start, steps] as const,
    );
  }

  /** Resolves when every tile shows a number. */
  async tilesFilled(): Promise<void> {
    await this.page.waitForFunction((metrics) => {
      const shown = (metric: string) =>
        document.querySelector(`[data-testid="tile-${metric}"] [data-testid="value"]`)?.textContent ?? "";
      return metrics.every((metric) => /\d/.test(shown(metric)));
    }, METRICS);
  }

  /** How much of the page has jumped since it was opened (the browser's "cumulative layout shift"). */
  layoutShift(): Promise<number> {
    return this.page.evaluate(() => window.layoutShift);
  }

  /** What axe finds wrong, of all its rules: the rule and the elements. */
  async accessibilityProblems(): Promise<string[]> {
    await this.page.addScriptTag({ content: axe.source });
    return this.page.evaluate(async () => {
      // What fades in is judged as it will be, not halfway.
      const still = new CSSStyleSheet();
      still.replaceSync("*, ::before, ::after { animation: none !important; transition: none !important; }");
      document.adoptedStyleSheets.push(still);
      const { violations } = await window.axe.run(document);
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => sheet !== still);
      return violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(" ")}`));
    });
  }

  /** The newest offset that the page shows for a room. */
  async offset(room: string): Promise<number> {
    return Number((await this.text("offset", `[data-room="${room}"]`)).replaceAll(",", ""));
  }

  /** Resolves when the page shows an offset of the room above `than`. */
  async offsetAbove(room: string, than: number): Promise<void> {
    await this.page.waitForFunction(
      ([name, before]) => {
        const cell = document.querySelector(`[data-room="${name}"] [data-testid="offset"]`);
        return Number(cell?.textContent?.replaceAll(",", "")) > Number(before);
      },
      [room, than] as const,
    );
  }

  /** Resolves when each room of the dashboard, and the user's own, is joined. */
  async roomsJoined(recovered?: boolean): Promise<void> {
    await this.page.waitForFunction(
      ([rooms, wanted]) =>
        [...rooms, "user:demo-user"].every((room) => {
          const row = document.querySelector<HTMLElement>(`[data-room="${room}"]`);
          const matches = wanted === undefined || row?.dataset.recovered === String(wanted);
          return row?.dataset.status === "joined" && matches;
        }),
      [DASHBOARD_ROOMS, recovered] as const,
    );
  }
}
