/**
 * A Chromium as users have it: playwright's own launch keeps every page visible and focused and turns the back/forward cache off,
 * so the browser is started here, in a process group of its own, and playwright only connects to it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

export class OwnBrowser {
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #browser: Browser;

  private constructor(child: ChildProcess, profile: string, browser: Browser) {
    this.#child = child;
    this.#profile = profile;
    this.#browser = browser;
  }

  static async launch(): Promise<OwnBrowser> {
    const profile = mkdtempSync(join(tmpdir(), "osbackend-life-profile-"));
    const child = spawn(
      process.env.CHROME ?? "/usr/bin/chromium",
      [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--remote-debugging-port=0",
        `--user-data-dir=${profile}`,
        "about:blank",
      ],
      { detached: true, stdio: ["ignore", "ignore", "pipe"] },
    );
    let endpoint: string | undefined;
    for await (const line of createInterface({ input: child.stderr })) {
      endpoint = /^DevTools listening on (\S+)$/.exec(line)?.[1];
      if (endpoint !== undefined) break;
    }
    if (endpoint === undefined) throw new Error("the browser ended before it could be driven");
    // Read on, so that the pipe never fills.
    child.stderr.resume();
    return new OwnBrowser(child, profile, await chromium.connectOverCDP(endpoint, { noDefaults: true }));
  }

  get context(): BrowserContext {
    const [context] = this.#browser.contexts();
    if (context === undefined) throw new Error("the browser has no profile");
    return context;
  }

  page(): Promise<Page> {
    return this.context.newPage();
  }

  /** All of its processes stop, as they do when a laptop's lid is closed. */
  suspend(): void {
    this.#signal("SIGSTOP");
  }

  resume(): void {
    this.#signal("SIGCONT");
  }

  async close(): Promise<void> {
    const gone =
      this.#child.exitCode === null && this.#child.signalCode === null && once(this.#child, "exit");
    this.#signal("SIGKILL");
    await gone;
    await this.#browser.close().catch(() => {});
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10 });
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#child.pid === undefined) throw new Error("the browser was never started");
    process.kill(-this.#child.pid, signal);
  }
}
