/** Folders for what a test builds: within the package, so that its name resolves, and outside of what tsc looks at. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** An empty folder that goes with the test. */
export function pageFolder(): string {
  const pages = join(import.meta.dirname, "../.pages");
  mkdirSync(pages, { recursive: true });
  const folder = mkdtempSync(join(pages, "page-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}
