/** Code of docs/RECIPES.md, as files of a project. */
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const RECIPES = fileURLToPath(new URL("../../../docs/RECIPES.md", import.meta.url));

/** As much of esbuild as is used. */
interface Esbuild {
  transform(code: string, options: object): Promise<{ code: string }>;
}

/** Writes a recipe as JavaScript (JSX is left alone), for projects that don't have TypeScript. `esbuild` is that of the projects. */
export async function writeRecipe(name: string, path: string, projects: string): Promise<void> {
  const markdown = await readFile(RECIPES, "utf8");
  const code = new RegExp(`\`\`\`(?:tsx?|js) recipe=${name}\\n([\\s\\S]*?)\`\`\``).exec(markdown)?.[1];
  if (code === undefined) throw new Error(`docs/RECIPES.md has no recipe ${name}`);
  const { transform } = createRequire(join(projects, "package.json"))("esbuild") as Esbuild;
  const { code: plain } = await transform(code, { loader: "tsx", jsx: "preserve", target: "esnext" });
  await writeFile(path, plain);
}
