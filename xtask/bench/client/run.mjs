/**
 * Measures `@osbackend/realtime` in headless Chromium, with frames recorded from the real server:
 *
 * - what an event costs the page's main thread when the frames come by a real WebSocket as fast as it takes them
 *   (64 events a frame, as a server with a backlog sends them, and one event a frame);
 * - what the dispatch itself costs beside `JSON.parse` and a call of the same listener, without any socket.
 *
 * Prints one JSON line a round. Started by `cargo xtask bench`, which names everything by options.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { serveFiles } from "./files.mjs";
import { record } from "./record.mjs";
import { replay } from "./replay.mjs";

const BATCH = 64;
const SOCKET_BATCHES = 400;
const SOCKET_SINGLES = 3_000;
/** Nothing here takes as long unless it hangs. */
const AT_MOST_MS = 180_000;

const { values: options } = parseArgs({
  options: {
    server: { type: "string" },
    secret: { type: "string" },
    package: { type: "string" },
    "node-peers": { type: "string" },
    chromium: { type: "string" },
    rounds: { type: "string" },
  },
});

const watchdog = setTimeout(() => {
  console.error(`the bench of the client did not end within ${AT_MOST_MS} ms`);
  process.exit(1);
}, AT_MOST_MS);

const peers = createRequire(join(options["node-peers"], "package.json"));
const recording = await record(peers, options.server, options.secret);
const files = await serveFiles({ "/package/": options.package, "/": import.meta.dirname });
const browser = await chromium.launch({
  executablePath: options.chromium,
  // Chromium refuses its sandbox as root. The bench loads nothing but its own pages.
  args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});

try {
  for (let round = 0; round < Number(options.rounds); round++) {
    const batched = await socket(BATCH, SOCKET_BATCHES);
    const single = await socket(1, SOCKET_SINGLES);
    const dispatch = await inPage((page) => page.evaluate((given) => globalThis.measureDispatch(given), recording));
    console.log(JSON.stringify({ microsPerEvent: batched, microsPerEventUnbatched: single, ...dispatch }));
  }
} finally {
  await browser.close();
  files.close();
  clearTimeout(watchdog);
}

/** Microseconds of the main thread for each event that comes by a real WebSocket. */
async function socket(batch, frames) {
  const server = await replay(peers, recording, batch, frames);
  try {
    return await inPage(async (page) => {
      const devtools = await page.context().newCDPSession(page);
      await devtools.send("Performance.enable");
      const busy = async () => {
        const { metrics } = await devtools.send("Performance.getMetrics");
        return metrics.find(({ name }) => name === "TaskDuration").value;
      };
      await page.evaluate((to) => globalThis.connect(to), { url: server.url, token: recording.token });
      // One part to warm up, one to measure.
      await page.evaluate((count) => globalThis.receive(count), server.send());
      const before = await busy();
      const count = server.send();
      await page.evaluate((expected) => globalThis.receive(expected), count);
      return ((await busy()) - before) * (1e6 / count);
    });
  } finally {
    server.close();
  }
}

async function inPage(measure) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on("pageerror", (error) => console.error(`page: ${error.stack ?? error}`));
  page.on("console", (message) => console.error(`page: ${message.text()}`));
  try {
    await page.goto(`${files.url}page.html`);
    await page.waitForFunction(() => globalThis.ready === true);
    return await measure(page);
  } finally {
    await context.close();
  }
}
