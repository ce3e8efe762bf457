/** The projects as a user has them: copied out of the repository, their tools installed, and the packed tarball over them. */
import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { run } from "./run.ts";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const sources = fileURLToPath(new URL("../../projects", import.meta.url));

declare module "vitest" {
  interface ProvidedContext {
    /** Where the projects are. */
    projects: string;
  }
}

export default async function install({ provide }: TestProject): Promise<void> {
  // Not within the repository: what is missing there would be found in its node_modules. One folder for each
  // checkout, kept from run to run for the sake of what npm has installed there.
  const folder = join(tmpdir(), `osbackend-packaging-${hash(repository)}`);
  await mkdir(folder, { recursive: true });
  for (const entry of await readdir(folder)) {
    if (entry !== "node_modules") await rm(join(folder, entry), { recursive: true });
  }
  await cp(sources, folder, {
    recursive: true,
    filter: (path) => !/[\\/](node_modules|dist|\.next)$/.test(path),
  });
  await installTools(folder);
  // What Vite has optimized there is of an older tarball.
  await rm(join(folder, "node_modules/.vite"), { recursive: true, force: true });
  await rm(join(folder, "node_modules/@osbackend"), { recursive: true, force: true });
  const tarball = process.env.OSB_TARBALL ?? (await pack(folder));
  await run("npm", ["install", "--no-save", "--no-audit", "--no-fund", tarball], { cwd: folder });
  provide("projects", folder);
}

/** `npm ci`, unless what it would install is there. */
async function installTools(folder: string): Promise<void> {
  const stamp = join(folder, "node_modules/.osbackend-lock");
  const wanted = hash(await readFile(join(folder, "package-lock.json"), "utf8"));
  const installed = await readFile(stamp, "utf8").catch(() => "");
  if (installed === wanted) return;
  await run("npm", ["ci", "--prefer-offline", "--no-audit", "--no-fund"], { cwd: folder });
  await writeFile(stamp, wanted);
}

async function pack(folder: string): Promise<string> {
  const arguments_ = ["pack", "--workspace", "npm-package", "--ignore-scripts", "--pack-destination", folder];
  const name = await run("npm", arguments_, { cwd: repository });
  return join(folder, name.trim().split("\n").at(-1) as string);
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
