/** webpack 5, with a configuration that says nothing of the package. */
import { expect, onTestFinished, test } from "vitest";
import { serveFiles } from "./support/files.ts";
import { ProjectPage } from "./support/page.ts";
import { run } from "./support/run.ts";
import { project, useBrowser, useServer } from "./support/setup.ts";

const live = useServer();
const chromium = useBrowser();

test("webpack build", async () => {
  await run("npm", ["run", "build"], { cwd: project("webpack") });
  const files = await serveFiles(project("webpack"));
  onTestFinished(files.stop);
  const page = await ProjectPage.open(chromium.browser, `${files.url}/index.html${live.server.query}`);
  await page.isLive(live.server, "webpack");
  expect(page.complaints).toEqual([]);
  expect(page.asked(/\.wasm$/)).toBe(1);
  // The page, its script and the module.
  expect(page.requests).toHaveLength(3);
});
