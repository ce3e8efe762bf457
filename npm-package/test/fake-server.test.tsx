// @vitest-environment happy-dom
/** The README's example of `./testing`: the real hooks on the fake server. */
import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { createClient } from "../src/index.js";
import { RealtimeProvider, usePresence, useWebSocketMetrics } from "../src/react/index.js";
import { createFakeServer } from "../src/testing/index.js";

afterEach(cleanup);

function ActiveCalls() {
  const { voice_call } = useWebSocketMetrics(["voice_call"]);
  const { users } = usePresence("dashboard:overview");
  return (
    <p>
      {voice_call?.values.active ?? "–"} calls, {users.map(({ userId }) => userId).join(" ")}
    </p>
  );
}

test("a component with hooks", async () => {
  const server = createFakeServer();
  const client = createClient({ url: server.url, WebSocket: server.WebSocket });
  await client.connect("ann");
  render(
    <RealtimeProvider client={client}>
      <ActiveCalls />
    </RealtimeProvider>,
  );
  server.emit("metric_update", { metric: "voice_call", values: { active: 3 } });
  expect(await screen.findByText("3 calls, ann")).toBeDefined();
  client.disconnect();
});
