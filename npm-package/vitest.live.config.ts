/** How the tests against the real server run (`npm run test:live`): as those beside it, with the binary that `OSB_SERVER` names. */
import { defineConfig, mergeConfig } from "vitest/config";
import base from "./vitest.config.ts";

const { include: _, typecheck: __, ...test } = base.test ?? {};

export default mergeConfig(
  { ...base, test },
  defineConfig({ test: { include: ["live/**/*.test.{ts,tsx}"], testTimeout: 60_000, hookTimeout: 60_000 } }),
);
