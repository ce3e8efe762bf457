/** Next.js with the App Router: rendered on the server, taken over in the page, live from then on. */
import { expect, onTestFinished, test } from "vitest";
import { ProjectPage } from "./support/page.ts";
import { run, serve } from "./support/run.ts";
import { project, useBrowser, useServer } from "./support/setup.ts";

const live = useServer();
const chromium = useBrowser();
const cwd = project("next");

test("next build, next start", async () => {
  await run("npm", ["run", "build"], { cwd });
  const next = await serve("npm", ["run", "start", "--", "--port", "0", "--hostname", "127.0.0.1"], {
    cwd,
    ready: /http:\/\/127\.0\.0\.1:(\d+)[\s\S]*Ready/,
  });
  onTestFinished(next.stop);
  const address = `http://127.0.0.1:${next.found[1]}/${live.server.query}`;

  // What the server renders is the state of a client that nobody has connected.
  const html = await (await fetch(address)).text();
  expect(html).toMatch(/<output id="state">idle<\/output>/);
  expect(html).toMatch(/<output id="event">none yet<\/output>/);

  const page = await ProjectPage.open(chromium.browser, address);
  await page.isLive(live.server, "next");
  // React would have said so if the page's first render had been another one than the server's.
  expect(page.complaints).toEqual([]);
  expect(page.asked(/\.wasm$/)).toBe(1);
});
