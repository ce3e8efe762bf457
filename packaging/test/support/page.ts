/** A page of a project in Chromium: what it shows, loads and complains of. */
import { type Browser, chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import type { RealServer } from "./server.ts";

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROME ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-component-update",
    ],
  });
}

export class ProjectPage {
  readonly page: Page;
  /** What the console was told as a warning or error, and what was thrown. */
  readonly complaints: string[] = [];
  /** The files that were asked for: the last part of each path. */
  readonly requests: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on("console", (message) => {
      if (["warning", "error"].includes(message.type())) this.complaints.push(message.text());
    });
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("request", (request) => {
      const { pathname, searchParams } = new URL(request.url());
      // Vite in development: a script that gives the file's address.
      if (!searchParams.has("import")) this.requests.push(pathname.split("/").at(-1) ?? "");
    });
  }

  static async open(browser: Browser, url: string): Promise<ProjectPage> {
    const project = new ProjectPage(await browser.newPage());
    await project.page.goto(url, { waitUntil: "commit" });
    return project;
  }

  async shows(id: string, text: string): Promise<void> {
    const found = ([selector, wanted]: readonly [string, string]) =>
      document.querySelector(selector)?.textContent?.split(" ").includes(wanted) === true;
    await this.page.waitForFunction(found, [`#${id}`, text] as const, { timeout: 60_000 }).catch(async () => {
      const shown = await this.page
        .locator(`#${id}`)
        .textContent({ timeout: 1 })
        .catch(() => "nothing");
      expect.fail(`#${id} shows ${shown}, not ${text}; the console: ${this.complaints.join("\n")}`);
    });
  }

  /** What the package is for: it connects, joins, and hears what is published from then on. */
  async isLive(server: RealServer, agent: string): Promise<void> {
    await this.shows("state", "connected");
    await this.shows("room", "joined");
    await server.publish(agent);
    await this.shows("event", agent);
  }

  /** How often a file was asked for whose name matches. */
  asked(name: RegExp): number {
    return this.requests.filter((request) => name.test(request)).length;
  }

  close(): Promise<void> {
    return this.page.close();
  }
}
