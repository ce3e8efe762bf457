/** Runs what needs a real browser and the real server (`npm run build` comes first). */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    include: ["e2e/{life,tabs}/*.test.ts"],
    environment: "node",
    // Generous: browsers and servers are started and killed in them, on machines that are busy with others.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
});
