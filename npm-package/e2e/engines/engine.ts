/** Three browsers behind one face: Chromium and Firefox by puppeteer, WebKit (MiniBrowser of WebKitGTK) by its WebDriver. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser, type Page } from "puppeteer-core";

/** Longer than anything takes, on a machine that is busy with others. */
const PATIENCE_MS = 60_000;

export const ENGINES = ["chromium", "firefox", "webkit"] as const;
export type EngineName = (typeof ENGINES)[number];

/** Whether the back/forward cache keeps a page whose socket is closed as it is left. Firefox keeps none that had one by then. */
export const KEEPS_PAGES: Record<EngineName, boolean> = { chromium: true, firefox: false, webkit: true };

/** What a test does with a page; expressions are JavaScript as text, because drivers differ in how they pass functions. */
export interface EnginePage {
  goto(url: string): Promise<void>;
  back(): Promise<void>;
  evaluate<T>(expression: string): Promise<T>;
  close(): Promise<void>;
}

/** A browser of one test. */
export interface Engine {
  page(): Promise<EnginePage>;
  /** All of its processes stop, as they do when a laptop's lid is closed. */
  suspend(): void;
  resume(): void;
  close(): Promise<void>;
}

/** Resolves with what the expression gives, once that is truthy. */
export async function until<T>(page: EnginePage, expression: string): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  let failed: unknown;
  while (Date.now() < end) {
    try {
      const value = await page.evaluate<T>(expression);
      if (value) return value;
      failed = undefined;
    } catch (thrown) {
      // While a page is replaced by another one there is nothing to ask.
      failed = thrown;
    }
    await new Promise((later) => setTimeout(later, 50));
  }
  const log = await page.evaluate("window.life?.log ?? window.tab?.client.state").catch(() => "no answer");
  throw new Error(`never came true: ${expression}; ${JSON.stringify(log)}`, { cause: failed });
}

export function launch(name: EngineName): Promise<Engine> {
  if (name === "webkit") return launchWebKit();
  return name === "firefox" ? launchFirefox() : launchChromium();
}

class Puppet implements Engine {
  readonly #browser: Browser;
  readonly #profile: string;

  constructor(browser: Browser, profile: string) {
    this.#browser = browser;
    this.#profile = profile;
  }

  async page(): Promise<EnginePage> {
    const page: Page = await this.#browser.newPage();
    return {
      goto: async (url) => void (await page.goto(url, { waitUntil: "load", timeout: PATIENCE_MS })),
      back: async () => void (await page.evaluate("history.back()").catch(() => {})),
      evaluate: <T>(expression: string) => page.evaluate(expression) as Promise<T>,
      close: () => page.close(),
    };
  }

  suspend(): void {
    this.#signal("SIGSTOP");
  }

  resume(): void {
    this.#signal("SIGCONT");
  }

  async close(): Promise<void> {
    const child = this.#browser.process();
    const gone = child?.exitCode === null && child.signalCode === null && once(child, "exit");
    this.#signal("SIGKILL");
    await gone;
    await this.#browser.close().catch(() => {});
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10 });
  }

  #signal(signal: NodeJS.Signals): void {
    signalGroup(this.#browser.process(), signal);
  }
}

/** To a process that was started as the head of a group, and all that it has started. */
function signalGroup(child: ChildProcess | null, signal: NodeJS.Signals): void {
  if (child?.pid === undefined) throw new Error("the browser was never started");
  process.kill(-child.pid, signal);
}

async function launchChromium(): Promise<Engine> {
  const profile = mkdtempSync(join(tmpdir(), "osbackend-engine-"));
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROME ?? "/usr/bin/chromium",
    // puppeteer's own turn the back/forward cache off.
    ignoreDefaultArgs: [
      "--disable-features=Translate,AcceptCHFrame,MediaRouter,OptimizationHints,BackForwardCache",
    ],
    userDataDir: profile,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"],
    timeout: PATIENCE_MS,
    protocolTimeout: PATIENCE_MS,
  });
  return new Puppet(browser, profile);
}

async function launchFirefox(): Promise<Engine> {
  const profile = mkdtempSync(join(tmpdir(), "osbackend-engine-"));
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
    userDataDir: profile,
    timeout: PATIENCE_MS,
    protocolTimeout: PATIENCE_MS,
  });
  return new Puppet(browser, profile);
}

/** MiniBrowser has no headless mode: it gets a display of its own. */
async function launchWebKit(): Promise<Engine> {
  const display = spawn("Xvfb", ["-displayfd", "3", "-screen", "0", "1024x768x24", "-nolisten", "tcp"], {
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  const [number] = (await once(display.stdio[3] as NodeJS.ReadableStream, "data")) as [Buffer];
  const profile = mkdtempSync(join(tmpdir(), "osbackend-engine-"));
  const port = await freePort();
  const driver = spawn(
    process.env.WEBKIT_DRIVER ?? "WebKitWebDriver",
    [`--port=${port}`, "--host=127.0.0.1"],
    {
      // A group of its own, with the browser that it starts.
      detached: true,
      stdio: "ignore",
      env: {
        ...process.env,
        DISPLAY: `:${number.toString().trim()}`,
        // Nothing of another run is found, and nothing is drawn by a graphics card.
        HOME: profile,
        XDG_DATA_HOME: profile,
        XDG_CACHE_HOME: profile,
        WEBKIT_DISABLE_COMPOSITING_MODE: "1",
        LIBGL_ALWAYS_SOFTWARE: "1",
        NO_AT_BRIDGE: "1",
      },
    },
  );
  const url = `http://127.0.0.1:${port}`;
  const call = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const answer = await fetch(`${url}${path}`, {
      method,
      ...(method === "POST" && { body: JSON.stringify(body ?? {}) }),
    });
    const { value } = (await answer.json()) as { value: T };
    if (!answer.ok) throw new Error(`${method} ${path}: ${JSON.stringify(value)}`);
    return value;
  };
  const end = Date.now() + PATIENCE_MS;
  while (
    !(await fetch(`${url}/status`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (Date.now() > end) throw new Error("WebKitWebDriver doesn't listen");
    await new Promise((later) => setTimeout(later, 50));
  }
  const options = { binary: miniBrowser(), args: ["--automation"] };
  const { sessionId } = await call<{ sessionId: string }>("POST", "/session", {
    capabilities: { alwaysMatch: { "webkitgtk:browserOptions": options } },
  });
  const session = `/session/${sessionId}`;
  let first = true;
  return {
    async page() {
      const handle = first
        ? await call<string>("GET", `${session}/window`)
        : (await call<{ handle: string }>("POST", `${session}/window/new`, { type: "tab" })).handle;
      first = false;
      // One window at a time is asked: whoever comes next waits.
      const within = <T>(method: string, path: string, body?: object): Promise<T> => {
        const mine = turn.then(async () => {
          await call("POST", `${session}/window`, { handle });
          return call<T>(method, `${session}${path}`, body);
        });
        turn = mine.catch(() => {});
        return mine;
      };
      return {
        goto: (to) => within("POST", "/url", { url: to }),
        back: () => within("POST", "/back"),
        evaluate: (expression) =>
          within("POST", "/execute/sync", { script: `return (${expression});`, args: [] }),
        close: () => within("DELETE", "/window"),
      };
    },
    suspend: () => signalGroup(driver, "SIGSTOP"),
    resume: () => signalGroup(driver, "SIGCONT"),
    async close() {
      const gone = driver.exitCode === null && driver.signalCode === null && once(driver, "exit");
      signalGroup(driver, "SIGKILL");
      await gone;
      const dark = once(display, "exit");
      display.kill("SIGKILL");
      await dark;
      rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

let turn: Promise<unknown> = Promise.resolve();

/** Where Debian has it: not on the PATH, and beside the library of its version. */
function miniBrowser(): string {
  const found = process.env.WEBKIT_BROWSER;
  if (found === undefined)
    throw new Error("WEBKIT_BROWSER names MiniBrowser: run `cargo xtask test engines`");
  return found;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
