/** A page without a bundler; and servers that lose the module or get its type wrong. */
import { expect, onTestFinished, test } from "vitest";
import { serveFiles, type WasmAnswer } from "./support/files.ts";
import { ProjectPage } from "./support/page.ts";
import { project, useBrowser, useServer } from "./support/setup.ts";

const live = useServer();
const chromium = useBrowser();

/** The page, live, with the module answered as given. */
async function plain(agent: string, wasm?: WasmAnswer): Promise<ProjectPage> {
  const files = await serveFiles(project(), wasm);
  onTestFinished(files.stop);
  const page = await ProjectPage.open(chromium.browser, `${files.url}/plain/index.html${live.server.query}`);
  await page.isLive(live.server, agent);
  return page;
}

/** What the package itself said. */
const told = (page: ProjectPage) => page.complaints.filter((text) => text.startsWith("[osbackend] "));

test("<script type=module>", async () => {
  const page = await plain("plain");
  expect(page.complaints).toEqual([]);
  expect(page.asked(/\.wasm$/)).toBe(1);
  expect(page.asked(/in-script/)).toBe(0);
  // There is no `process` that would tell of development: events are not checked.
  expect(page.asked(/^validate-/)).toBe(0);
});

test("a module that answers 404 is replaced by the copy in a script, which is told once", async () => {
  const page = await plain("plain-404", { status: 404, type: "text/html", body: "not found" });
  expect(page.asked(/in-script/)).toBeGreaterThan(0);
  expect(told(page)).toEqual([expect.stringContaining("client.wasm answered 404")]);
  // Another client of the same page has it already.
  const asked = page.requests.length;
  // As text, so that vitest doesn't make its own import of it.
  await page.page.evaluate(`import("@osbackend/realtime").then(({ createClient }) => {
    const query = new URLSearchParams(location.search);
    return createClient({ url: query.get("url") }).connect(query.get("token"));
  })`);
  expect(page.requests.slice(asked)).toEqual([]);
  expect(told(page)).toHaveLength(1);
});

test("an index page in its place (200, text/html) is replaced as well", async () => {
  const page = await plain("plain-index", { type: "text/html", body: "<!doctype html><title>App</title>" });
  expect(page.asked(/in-script/)).toBeGreaterThan(0);
  expect(told(page)).toHaveLength(1);
});

test("a wrong type with the right bytes does no harm", async () => {
  const page = await plain("plain-type", { type: "text/plain" });
  expect(page.complaints).toEqual([]);
  expect(page.asked(/in-script/)).toBe(0);
});
