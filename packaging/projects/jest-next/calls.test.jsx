/** A component of a user's, with a fake server, as README shows it. */
import { createClient } from "@osbackend/realtime";
import { RealtimeProvider, useWebSocketMetrics } from "@osbackend/realtime/react";
import { createFakeServer } from "@osbackend/realtime/testing";
import { render, screen } from "@testing-library/react";

function ActiveCalls() {
  const { voice_call } = useWebSocketMetrics(["voice_call"]);
  return <p>{voice_call?.values.active ?? "–"} calls</p>;
}

test("shows the calls", async () => {
  const server = createFakeServer();
  const client = createClient({ url: server.url, WebSocket: server.WebSocket });
  await client.connect("ann");
  render(
    <RealtimeProvider client={client}>
      <ActiveCalls />
    </RealtimeProvider>,
  );
  server.emit("metric_update", { metric: "voice_call", values: { active: 3 } });
  await screen.findByText("3 calls");
  client.disconnect();
});
