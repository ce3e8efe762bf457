/** esbuild, which knows nothing of `new URL(…, import.meta.url)`. */
import { expect, onTestFinished, test } from "vitest";
import { type FileServer, serveFiles } from "./support/files.ts";
import { ProjectPage } from "./support/page.ts";
import { run } from "./support/run.ts";
import { project, useBrowser, useServer } from "./support/setup.ts";

const live = useServer();
const chromium = useBrowser();

async function built(): Promise<FileServer> {
  await run("npm", ["run", "build"], { cwd: project("esbuild") });
  const files = await serveFiles(project("esbuild"));
  onTestFinished(files.stop);
  return files;
}

test("esbuild: the file copied beside the script, the module inside of it, and as an asset", async () => {
  const files = await built();
  for (const [name, asked] of [
    ["index", 1],
    ["inline", 0],
    ["slim", 1],
  ] as const) {
    const page = await ProjectPage.open(chromium.browser, `${files.url}/${name}.html${live.server.query}`);
    await page.isLive(live.server, `esbuild-${name}`);
    expect(page.complaints, name).toEqual([]);
    expect(page.asked(/\.wasm$/), name).toBe(asked);
    await page.close();
  }
});

test("esbuild: a file that nobody copied is made up for, and told", async () => {
  const files = await built();
  const page = await ProjectPage.open(chromium.browser, `${files.url}/lost.html${live.server.query}`);
  await page.isLive(live.server, "esbuild-lost");
  const told = page.complaints.filter((text) => text.startsWith("[osbackend] "));
  expect(told).toEqual([expect.stringContaining("client.wasm answered 404")]);
});
