/** Tabs of one Chromium: opened, asked, and ended in the ways in which tabs end. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { build } from "vite";

/** Builds a page (this folder's by default) against the package as it is published; gives its folder. */
export async function buildPage(page = new URL("./page", import.meta.url)): Promise<string> {
  const outDir = mkdtempSync(join(tmpdir(), "osbackend-tabs-page-"));
  await build({
    configFile: false,
    root: fileURLToPath(page),
    logLevel: "error",
    build: { outDir, emptyOutDir: true },
  });
  return outDir;
}

/** A browser with its profile. */
export class Browser {
  readonly #profile: string;
  readonly context: BrowserContext;

  private constructor(context: BrowserContext, profile: string) {
    this.context = context;
    this.#profile = profile;
  }

  static async launch(): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), "osbackend-tabs-profile-"));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROME ?? "/usr/bin/chromium",
      ignoreDefaultArgs: ["--disable-back-forward-cache"],
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // A process for each tab, so that one can be killed alone.
        "--renderer-process-limit=64",
      ],
    });
    return new Browser(context, profile);
  }

  /** A tab that is connected. */
  async tab(url: string): Promise<Tab> {
    const page = await this.context.newPage();
    await page.goto(url);
    const tab = new Tab(page);
    await tab.connected();
    return tab;
  }

  async tabs(url: string, count: number): Promise<Tab[]> {
    const tabs: Tab[] = [];
    while (tabs.length < count) tabs.push(await this.tab(url));
    return tabs;
  }

  /** Kills the process of a tab. */
  async killProcess(tab: Tab): Promise<void> {
    const browser = await this.context.browser()?.newBrowserCDPSession();
    if (browser === undefined) throw new Error("no session with the browser");
    const times = async () => {
      const { processInfo } = await browser.send("SystemInfo.getProcessInfo");
      return new Map(
        processInfo.filter(({ type }) => type === "renderer").map(({ id, cpuTime }) => [id, cpuTime]),
      );
    };
    // Which process it is the browser doesn't tell: the one that works while the tab does.
    const before = await times();
    await tab.page.evaluate(() => {
      const begin = performance.now();
      while (performance.now() - begin < 500);
    });
    const worked = [...(await times())].map(([id, time]) => [id, time - (before.get(id) ?? 0)] as const);
    worked.sort(([, a], [, b]) => b - a);
    const [busiest] = worked;
    if (busiest === undefined) throw new Error("no process of a page");
    const crashed = tab.page.waitForEvent("crash");
    process.kill(busiest[0], "SIGKILL");
    await crashed;
  }

  async close(): Promise<void> {
    await this.context.close();
    rmSync(this.#profile, { recursive: true, force: true });
  }
}

/** One tab. */
export class Tab {
  readonly page: Page;
  /** Whether the browser said that its process ended. */
  crashed = false;

  constructor(page: Page) {
    this.page = page;
    page.on("crash", () => {
      this.crashed = true;
    });
  }

  async connected(): Promise<void> {
    await this.page.waitForFunction(() => window.tab?.client.state.status === "connected");
  }

  async join(room: string): Promise<void> {
    await this.page.evaluate((name) => window.tab.join(name), room);
    await this.joined(room);
  }

  async joined(room: string): Promise<void> {
    await this.page.waitForFunction((name) => window.tab.client.roomState(name)?.status === "joined", room);
  }

  async leave(room: string): Promise<void> {
    await this.page.evaluate((name) => window.tab.leave(name), room);
  }

  /** Whether the connection is this tab's. */
  async leads(): Promise<boolean> {
    return (await this.page.evaluate(() => window.tab.open())) > 0;
  }

  /** The numbers that came, once this one was among them. */
  async seen(room: string, upTo: number): Promise<number[]> {
    await this.page.waitForFunction(([name, last]) => window.tab.seen[name]?.includes(last), [
      room,
      upTo,
    ] as const);
    return this.page.evaluate((name) => window.tab.seen[name] ?? [], room);
  }

  agents(room: string): Promise<string[]> {
    return this.page.evaluate((name) => window.tab.agents[name] ?? [], room);
  }

  /** As a renderer that crashes by itself. */
  async crash(): Promise<void> {
    const session = await this.page.context().newCDPSession(this.page);
    const crashed = this.page.waitForEvent("crash");
    // It has nobody to answer it.
    session.send("Page.crash").catch(() => {});
    await crashed;
  }
}

/** The one of them that has the connection. */
export async function leaderOf(tabs: readonly Tab[]): Promise<Tab> {
  const leads = await Promise.all(tabs.map((tab) => tab.leads()));
  const leaders = tabs.filter((_, at) => leads[at]);
  if (leaders.length !== 1) throw new Error(`${leaders.length} tabs have a connection`);
  return leaders[0] as Tab;
}
