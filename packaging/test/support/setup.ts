/** What each file of tests begins with: the server and the browser, gone when its tests are done. */
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, inject } from "vitest";
import { launch } from "./page.ts";
import { RealServer } from "./server.ts";

/** The folder of a project, or of all of them. */
export function project(name = ""): string {
  return join(inject("projects"), name);
}

/** A server for the tests of this file. */
export function useServer(): { readonly server: RealServer } {
  let server: RealServer | undefined;
  beforeAll(async () => {
    server = await RealServer.start();
  });
  afterAll(() => server?.stop());
  return {
    get server() {
      if (server === undefined) throw new Error("the server is there in tests only");
      return server;
    },
  };
}

/** A browser for the tests of this file. */
export function useBrowser(): { readonly browser: Browser } {
  let browser: Browser | undefined;
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser?.close());
  return {
    get browser() {
      if (browser === undefined) throw new Error("the browser is there in tests only");
      return browser;
    },
  };
}
