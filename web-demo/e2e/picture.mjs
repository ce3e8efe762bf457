/**
 * Makes the README's picture from a running demo, light on the left and dark on the right:
 * `node e2e/picture.mjs http://localhost:8080/ ../docs/demo.png`. Let the server run for two minutes
 * first, so that the charts are full.
 */
import { writeFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const [url = "http://localhost:8080/", out = "../docs/demo.png"] = process.argv.slice(2);
const size = { width: 1440, height: 1010 };

const browser = await chromium.launch({
  executablePath: process.env.CHROME ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu"],
});

// Both at once, so that both halves show the same moment.
const pages = await Promise.all(
  ["light", "dark"].map(async (colorScheme) => {
    const context = await browser.newContext({ viewport: size, colorScheme, reducedMotion: "reduce" });
    const page = await context.newPage();
    await page.goto(url);
    await page.waitForSelector('[data-room="user:demo-user"][data-status="joined"]');
    await page.waitForFunction(() =>
      /\d/.test(document.querySelector('[data-testid="round-trip"]')?.textContent),
    );
    // The events of a few seconds fill the bars of the connection panel.
    await page.waitForFunction(() => document.querySelectorAll(".bg-brand[style*='height']").length >= 20);
    return page;
  }),
);
const shots = await Promise.all(pages.map((page) => page.screenshot()));
const [light, dark] = shots.map((shot) => `data:image/png;base64,${shot.toString("base64")}`);

const frame = await (await browser.newContext({ viewport: size })).newPage();
await frame.setContent(`
  <style>
    body { margin: 0 }
    img { position: absolute; inset: 0; width: 100% }
    img + img { clip-path: polygon(57% 0, 100% 0, 100% 100%, 43% 100%) }
  </style>
  <img src="${light}"><img src="${dark}">`);
await writeFile(out, await frame.screenshot());
await browser.close();
