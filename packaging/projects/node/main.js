/** A program: tells in lines what happens, and ends at the first event. */
import { createClient } from "@osbackend/realtime";
import { WebSocket } from "ws";

const client = createClient({ url: process.env.WS_URL, WebSocket });
client.on("room", ({ room, status }) => room === "dashboard:overview" && console.log("room", status));
client.joinRoom("dashboard:overview").on("agent_status_change", ({ agentId }) => {
  if (agentId !== process.env.AGENT) return;
  console.log("event", agentId);
  client.disconnect();
});
await client.connect(process.env.TOKEN);
console.log("state", client.state.status);
