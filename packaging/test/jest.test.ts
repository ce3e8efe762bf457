/** A user's tests in Jest, with next/jest and without, configured as docs/RECIPES.md says. */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { writeRecipe } from "./support/recipes.ts";
import { run } from "./support/run.ts";
import { project } from "./support/setup.ts";

const TEST = "calls.test.jsx";

for (const [name, recipe] of [
  ["jest", "jestplain"],
  ["jest-next", "jestnext"],
] as const) {
  test(`${name}: the hooks over a fake server`, async () => {
    const cwd = project(name);
    const projects = inject("projects");
    // One user's test serves both.
    if (name !== "jest") await copyFile(join(project("jest"), TEST), join(cwd, TEST));
    await writeRecipe(recipe, join(cwd, "jest.config.js"), projects);
    await writeRecipe("jestsetup", join(cwd, "jest.setup.js"), projects);
    // Fails with all that Jest wrote, if a test does; Jest fails without a test.
    expect(await run("npm", ["test"], { cwd })).toContain("jest");
  });
}
