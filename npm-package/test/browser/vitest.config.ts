/** The hooks in Chromium over the real server, and rendered by a server: both with React 18 and with React 19. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { playwright } from "@vitest/browser-playwright";
import { transformWithOxc } from "vite";
import { defineConfig } from "vitest/config";
import { constants, wasmPlugin } from "../../build/wasm-plugin.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Where each React is; 18 is a workspace of its own, so that it can be beside 19. */
const VERSIONS = {
  "18": fileURLToPath(new URL("../../../react-18/package.json", import.meta.url)),
  "19": fileURLToPath(new URL("../../package.json", import.meta.url)),
};

/** `virtual:readme/0.tsx` is the first example in TSX of the README, and so on. */
const readme = {
  name: "readme",
  resolveId: (id: string) => (id.startsWith("virtual:readme/") ? `\0${id}` : undefined),
  load(id: string) {
    const example = /^\0virtual:readme\/(\d+)\.tsx$/.exec(id)?.[1];
    if (example === undefined) return undefined;
    const text = readFileSync(`${root}README.md`, "utf8");
    const code = [...text.matchAll(/```tsx\n([\s\S]*?)```/g)][Number(example)]?.[1] ?? "";
    return transformWithOxc(code, "readme.tsx", { jsx: { runtime: "automatic", development: true } });
  },
};

function reactOf(version: keyof typeof VERSIONS) {
  const folder = (name: string) => dirname(createRequire(VERSIONS[version]).resolve(`${name}/package.json`));
  return {
    root,
    define: {
      ...constants("../../wasm/osbackend_client_wasm_bg.wasm"),
      __REACT__: JSON.stringify(version),
    },
    plugins: [wasmPlugin(), readme],
    resolve: {
      alias: [
        { find: /^react(?=\/|$)/, replacement: folder("react") },
        { find: "@osbackend/realtime/react", replacement: `${root}src/react/index.ts` },
        { find: /^react-dom(?=\/|$)/, replacement: folder("react-dom") },
      ],
    },
    cacheDir: `node_modules/.vite-react-${version}`,
  };
}

const browser = (version: keyof typeof VERSIONS) => ({
  ...reactOf(version),
  optimizeDeps: { include: ["react", "react/jsx-dev-runtime", "react-dom", "react-dom/client"] },
  test: {
    name: `react-${version}`,
    include: ["test/browser/**/*.test.tsx"],
    globalSetup: ["test/browser/server.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // One page at a time: two pages of one browser share its frames.
    fileParallelism: false,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: {
          executablePath: process.env.CHROME ?? "/usr/bin/chromium",
          args: [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
          ],
        },
      }),
      instances: [{ browser: "chromium" as const, name: `chromium-${version}` }],
    },
  },
});

const server = (version: keyof typeof VERSIONS) => ({
  ...reactOf(version),
  test: { name: `server-${version}`, include: ["test/browser/**/*.server-test.tsx"], environment: "node" },
});

export default defineConfig({
  root,
  test: { projects: [server("18"), server("19"), browser("18"), browser("19")] },
});
