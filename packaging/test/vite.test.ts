/** Vite: its development server, which optimizes dependencies, and its build. All three entries, and the hooks on one of them. */
import { expect, onTestFinished, test } from "vitest";
import { serveFiles } from "./support/files.ts";
import { ProjectPage } from "./support/page.ts";
import { run, serve } from "./support/run.ts";
import { project, useBrowser, useServer } from "./support/setup.ts";

const live = useServer();
const chromium = useBrowser();
const cwd = project("vite");

async function tryAll(url: string, mode: "development" | "production"): Promise<void> {
  for (const [name, files] of [
    ["index", 1],
    ["inline", 0],
    ["slim", 1],
  ] as const) {
    const page = await ProjectPage.open(chromium.browser, `${url}/${name}.html${live.server.query}`);
    await page.isLive(live.server, `vite-${name}`);
    expect(page.complaints, name).toEqual([]);
    expect(page.asked(/\.wasm$/), name).toBe(files);
    // The copy within a script is `./inline`'s alone.
    if (name !== "inline") expect(page.asked(/in-script/), name).toBe(0);
    // What checks events (`validate`) is for development.
    expect(page.asked(/^validate-.*\.js$/), name).toBe(mode === "development" ? 1 : 0);
    await page.close();
  }
}

test("vite dev", async () => {
  const vite = await serve(
    "npm",
    ["run", "dev", "--", "--port", "0", "--strictPort", "--host", "127.0.0.1"],
    {
      cwd,
      ready: /http:\/\/127\.0\.0\.1:(\d+)/,
    },
  );
  onTestFinished(vite.stop);
  await tryAll(`http://127.0.0.1:${vite.found[1]}`, "development");
});

test("vite build", async () => {
  await run("npm", ["run", "build"], { cwd });
  const files = await serveFiles(project("vite/dist"));
  onTestFinished(files.stop);
  await tryAll(files.url, "production");
});
