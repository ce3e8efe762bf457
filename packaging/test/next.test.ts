/** Next.js with the App Router: rendered on the server, taken over in the page, live from then on; and the recipe over an expiry. */
import { join } from "node:path";
import { beforeAll, expect, inject, onTestFinished, test } from "vitest";
import { ProjectPage } from "./support/page.ts";
import { writeRecipe } from "./support/recipes.ts";
import { run, serve } from "./support/run.ts";
import { SECRET } from "./support/server.ts";
import { project, useBrowser, useServer } from "./support/setup.ts";

const live = useServer();
const chromium = useBrowser();
const cwd = project("next");

beforeAll(async () => {
  const projects = inject("projects");
  await writeRecipe("next", join(cwd, "app/recipe/realtime.jsx"), projects);
  await writeRecipe("nexttoken", join(cwd, "app/recipe/token.js"), projects);
  await run("npm", ["run", "build"], { cwd, env: { NEXT_PUBLIC_REALTIME_URL: live.server.url } });
}, 300_000);

/** `next start`; where it is. */
async function started(): Promise<string> {
  const next = await serve("npm", ["run", "start", "--", "--port", "0", "--hostname", "127.0.0.1"], {
    cwd,
    env: { JWT_SECRET: SECRET },
    ready: /http:\/\/127\.0\.0\.1:(\d+)[\s\S]*Ready/,
  });
  onTestFinished(next.stop);
  return `http://127.0.0.1:${next.found[1]}`;
}

test("next build, next start", async () => {
  const address = `${await started()}/${live.server.query}`;

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

test("the recipe stays live when its token expires", async () => {
  const site = await started();
  const page = await ProjectPage.open(chromium.browser, `${site}/favicon.ico`);
  await page.page.context().addCookies([{ name: "user", value: "ann", url: site }]);
  const ends: number[] = [];
  const afterTheFirst = new Promise<void>((resolve) => {
    page.page.on("response", async (response) => {
      if (!response.url().endsWith("/api/token")) return;
      const { exp } = JSON.parse(
        Buffer.from((await response.text()).split(".")[1] ?? "", "base64url").toString(),
      ) as { exp: number };
      ends.push(exp);
      // One that is asked for after the first has expired: the server took the tokens in between.
      if (Date.now() / 1000 > (ends[0] as number)) resolve();
    });
  });
  await page.page.goto(`${site}/recipe`);
  await page.isLive(live.server, "before");
  await afterTheFirst;
  await page.isLive(live.server, "after");
  expect(ends.length).toBeGreaterThan(1);
});
