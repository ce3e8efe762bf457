/** How the projects are tried: one after the other, because each of them wants all of the machine while it builds. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "./test/support/install.ts",
    fileParallelism: false,
    // Generous: bundlers run in them, on machines that are busy with others.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
