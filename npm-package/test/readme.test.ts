/** What the READMEs show compiles against the published declarations, and the token that one of them signs is one. */
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { pageFolder } from "./pages.js";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

test.for([
  ["../README.md", 4],
  ["../../README.md", 4],
] as const)("every example of %s compiles", { timeout: 60_000 }, ([path, least]) => {
  const examples = [...read(path).matchAll(/```(tsx?)\n([\s\S]*?)```/g)];
  expect(examples.length).toBeGreaterThanOrEqual(least);
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

test("the token of the first README is signed, and has the claims that the server wants", () => {
  const [, code = ""] = /```js\n([\s\S]*?)```/.exec(read("../../README.md")) ?? [];
  const env = { ...process.env, JWT_SECRET: "a secret of at least 32 bytes, kept" };
  const printed = execFileSync(process.execPath, ["--input-type=module", "--eval", code], {
    encoding: "utf8",
    env,
  });
  const [head = "", claims = "", signature] = printed.trim().split(".");
  const json = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString());
  expect(json(head)).toEqual({ alg: "HS256", typ: "JWT" });
  expect(json(claims)).toEqual({ sub: "ann", role: "user", name: "Ann", exp: expect.any(Number) });
  expect(json(claims).exp).toBeGreaterThan(Date.now() / 1000);
  expect(signature).toBe(
    createHmac("sha256", env.JWT_SECRET).update(`${head}.${claims}`).digest("base64url"),
  );
});
