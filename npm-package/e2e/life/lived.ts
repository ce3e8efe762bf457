/** A page that is watched while its browser, its network or its machine come and go. */
import { createHmac } from "node:crypto";
import type { CDPSession, Page } from "playwright-core";
import { JWT_SECRET } from "../tabs/server.ts";

/** Not by animation frames, of which a hidden page has none. */
const BY_TIME = { polling: 100 };

const part = (value: object | string) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** A token of the server's own, that ends so many seconds from now. */
export function tokenFor(sub: string, seconds: number): string {
  const now = Math.floor(Date.now() / 1000);
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, role: "user", iat: now, exp: now + seconds })}`;
  return `${signed}.${createHmac("sha256", JWT_SECRET).update(signed).digest("base64url")}`;
}

export class Lived {
  readonly page: Page;
  readonly cdp: CDPSession;

  private constructor(page: Page, cdp: CDPSession) {
    this.page = page;
    this.cdp = cdp;
  }

  /** Opened, connected, and in the room. */
  static async open(page: Page, url: string, room: string): Promise<Lived> {
    await page.goto(url);
    const lived = new Lived(page, await page.context().newCDPSession(page));
    await lived.status("connected");
    await page.evaluate((name) => window.life.join(name), room);
    await page.waitForFunction(
      (name) => window.life.client.roomState(name)?.status === "joined",
      room,
      BY_TIME,
    );
    return lived;
  }

  async status(status: string): Promise<void> {
    await this.page.waitForFunction((wanted) => window.life?.client.state.status === wanted, status, BY_TIME);
  }

  /** Resolves when this was noted; gives all that was, from the last `since` on (else from the beginning). */
  async noted(line: string, since?: string): Promise<string[]> {
    const handle = await this.page.waitForFunction(
      ([wanted, from]) => {
        const begin = from === undefined ? 0 : window.life.log.lastIndexOf(from);
        const lines = begin < 0 ? [] : window.life.log.slice(begin);
        return lines.includes(wanted) && lines;
      },
      [line, since] as const,
      BY_TIME,
    );
    return (await handle.jsonValue()) as string[];
  }

  log(): Promise<string[]> {
    return this.page.evaluate(() => window.life.log);
  }

  count(line: string): Promise<number> {
    return this.page.evaluate((wanted) => window.life.log.filter((one) => one === wanted).length, line);
  }

  /** The numbers that came, once this one was among them. */
  async seen(upTo: number): Promise<number[]> {
    await this.page.waitForFunction((last) => window.life.seen.includes(last), upTo, BY_TIME);
    return this.page.evaluate(() => window.life.seen);
  }

  recovered(): Promise<unknown[]> {
    return this.page.evaluate(() => window.life.recovered);
  }

  state() {
    return this.page.evaluate(() => ({ ...window.life.client.state, id: window.life.client.clientId }));
  }
}
