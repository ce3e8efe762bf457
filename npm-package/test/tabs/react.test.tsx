// @vitest-environment happy-dom
/** The hooks on clients that share a connection: as on any other. */
import { cleanup, render } from "@testing-library/react";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import {
  RealtimeProvider,
  useConnectionState,
  useWebSocketMetrics,
  useWebSocketRoom,
} from "../../src/react/index.js";
import { eventFrame, ScriptedServer } from "../server.js";
import { Browser, tokenOf } from "./browser.js";

afterEach(cleanup);

function Page() {
  const { status } = useConnectionState();
  const room = useWebSocketRoom("dashboard:overview");
  const { calls } = useWebSocketMetrics(["calls"]);
  return (
    <p>
      {status} {room?.status} {String(calls?.values.active)}
    </p>
  );
}

test("hooks show the same in each tab, over one connection, also after the leader was killed", async () => {
  const server = await ScriptedServer.start();
  onTestFinished(() => server.stop());
  const browser = new Browser();
  const pages = [1, 2, 3].map(() => {
    const tab = browser.tab({ url: server.url });
    const { container } = render(
      <RealtimeProvider client={tab.client}>
        <Page />
      </RealtimeProvider>,
    );
    return { tab, text: () => container.textContent };
  });
  for (const { tab } of pages) await tab.client.connect(tokenOf("ann"));
  const show = (shown: typeof pages, text: string) =>
    vi.waitFor(() => expect(shown.map((page) => page.text())).toEqual(shown.map(() => text)), 20_000);
  await show(pages, "connected joined undefined");
  const metric = (offset: number) =>
    eventFrame(
      "metric_update",
      { metric: "calls", values: { active: offset } },
      "dashboard:overview",
      offset,
    );
  server.connections[0]?.send(metric(1));
  await show(pages, "connected joined 1");
  expect(server.connections).toHaveLength(1);
  const next = server.accepted();
  pages[0]?.tab.kill();
  const accepted = await next;
  const rest = pages.slice(1);
  for (const { tab } of rest)
    await vi.waitFor(() => expect(tab.client.state.status).toBe("connected"), 20_000);
  accepted.send(metric(2));
  await show(rest, "connected joined 2");
});
