/** `useWebSocketMetrics` in Chromium: filled at once, and at most one render a frame. */
import { expect, test } from "vitest";
import { useWebSocketMetrics } from "../../src/react/index.js";
import { becomes, countedClient, Page, publishAll, server, strict } from "./page.js";

const ROOM = "dashboard:overview";
const update = (metric: string, value: number) => ({
  type: "metric_update",
  data: { metric, values: { value } },
});

function Value({ metric }: { metric: string }) {
  const metrics = useWebSocketMetrics([metric]);
  return <p>{`${metric} ${metrics[metric]?.values.value} `}</p>;
}

test("filled by the snapshot, for a component that comes later too; one join", async () => {
  const [metric, other] = [crypto.randomUUID(), crypto.randomUUID()];
  await publishAll([update(metric, 41), update(other, 1), update(metric, 42)]);
  const { client, sockets } = countedClient();
  const page = new Page();
  page.render(strict(client, <Value metric={metric} />));
  expect(page.text).toBe("");
  await client.connect(server.token);
  await becomes(() => page.text, `${metric} 42 `);
  page.render(
    strict(
      client,
      <>
        <Value metric={metric} />
        <Value metric={other} />
      </>,
    ),
  );
  await becomes(() => page.text, `${metric} 42 ${other} 1 `);
  expect([sockets.all.length, sockets.joins(ROOM)]).toEqual([1, 1]);
});

test("a burst of 1,000 events: at most one commit a frame, and none where the metric isn't shown", async () => {
  const [metric, other] = [crypto.randomUUID(), crypto.randomUUID()];
  // Each event in a frame of its own, and so a task of its own in the browser.
  const { client } = countedClient({ batch: false });
  let events = 0;
  client.on("metric_update", (data) => {
    if (data.metric === metric) events += 1;
  });
  const page = new Page();
  page.render(
    strict(
      client,
      <>
        {page.profiled("shown", <Value metric={metric} />)}
        {page.profiled("other", <Value metric={other} />)}
      </>,
    ),
  );
  await client.connect(server.token);
  await publishAll([update(metric, 0), update(other, 0)]);
  await becomes(() => page.text, `${metric} 0 ${other} 0 `);
  const before = [page.count("shown"), page.count("other")] as const;
  await publishAll(Array.from({ length: 1000 }, (_, n) => update(metric, n + 1)));
  await becomes(() => page.text, `${metric} 1000 ${other} 0 `);
  const commits = page.count("shown") - before[0];
  expect({ most: page.most("shown"), other: page.count("other") - before[1] }).toEqual({ most: 1, other: 0 });
  expect(events, "events that the burst brought").toBeGreaterThan(100);
  expect(commits, `commits for ${events} events`).toBeLessThan(events / 4);
});
