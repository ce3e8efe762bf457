/** A program in CommonJS, which may require an ES module that has no top-level await; the module's bytes are its own affair. */
const { readFileSync } = require("node:fs");
const { createClient } = require("@osbackend/realtime/slim");
const { WebSocket } = require("ws");

const wasm = readFileSync(require.resolve("@osbackend/realtime/client.wasm"));
const client = createClient({ url: process.env.WS_URL, WebSocket, wasm });
client.on("state", ({ status }) => status === "connected" && console.log("state", status));
client.on("room", ({ room, status }) => room === "dashboard:overview" && console.log("room", status));
client.joinRoom("dashboard:overview").on("agent_status_change", ({ agentId }) => {
  if (agentId !== process.env.AGENT) return;
  console.log("event", agentId);
  client.disconnect();
});
client.connect(process.env.TOKEN);
