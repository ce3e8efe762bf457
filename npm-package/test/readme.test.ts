/** What the README shows compiles against the published declarations. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { pageFolder } from "./pages.js";

test("every example of the README compiles", { timeout: 60_000 }, () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const examples = [...readme.matchAll(/```(tsx?)\n([\s\S]*?)```/g)];
  expect(examples.length).toBeGreaterThanOrEqual(4);
  const folder = pageFolder();
  for (const [index, [, kind, code = ""]] of examples.entries()) {
    // Each alone, as it is copied: one without its import would declare the package anew for all of them.
    writeFileSync(join(folder, `example-${index}.${kind}`), code);
  }
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: "../../tsconfig.json",
      compilerOptions: { noUnusedLocals: false },
      include: ["."],
    }),
  );
  const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
  try {
    execFileSync(process.execPath, [join(typescript, "bin/tsc"), "--project", folder], { encoding: "utf8" });
  } catch (failed) {
    expect.fail((failed as { stdout: string }).stdout);
  }
});
