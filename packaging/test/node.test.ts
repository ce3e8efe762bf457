/** Programs on Node: an ES module, CommonJS, and a user's tests in vitest with jsdom. */
import { expect, onTestFinished, test } from "vitest";
import { run, serve } from "./support/run.ts";
import { project, useServer } from "./support/setup.ts";

const live = useServer();

for (const [name, program] of [
  ["an ES module", "main.js"],
  ["CommonJS", "slim.cjs"],
] as const) {
  test(`Node: ${name}`, async () => {
    const agent = `node-${program}`;
    const env = { ...live.server.env, AGENT: agent };
    const node = await serve(process.execPath, [program], {
      cwd: project("node"),
      env,
      ready: /^room joined$/m,
    });
    onTestFinished(node.stop);
    await live.server.publish(agent);
    await node.wrote(new RegExp(`^event ${agent}$`, "m"));
    expect(await node.ended()).toBe(0);
  });
}

test("vitest with jsdom", async () => {
  const agent = "jsdom";
  const env = { ...live.server.env, AGENT: agent };
  const vitest = await serve("npm", ["test"], { cwd: project("jsdom"), env, ready: /room joined/ });
  onTestFinished(vitest.stop);
  await live.server.publish(agent);
  await vitest.wrote(/1 passed/);
  expect(await vitest.ended()).toBe(0);
});

test.for(["bundler", "node16", "nodenext", "node10"])("types, moduleResolution %s", async (resolution) => {
  await run("npx", ["tsc", "--project", `tsconfig.${resolution}.json`], { cwd: project("types") });
});
