// @vitest-environment jsdom
/** A user's own test, in jsdom: its WebSocket, and the module from the disk. */
import service from "@osbackend/realtime";
import { expect, test } from "vitest";

test("a page in jsdom connects, joins and hears", async () => {
  expect(document.body).toBeInstanceOf(HTMLElement);
  const room = service.joinRoom("dashboard:overview");
  const joined = new Promise((resolve) => {
    room.on("room", ({ status }) => status === "joined" && resolve());
  });
  const event = new Promise((resolve) => {
    room.on("agent_status_change", ({ agentId }) => agentId === process.env.AGENT && resolve(agentId));
  });
  await service.connect(process.env.TOKEN, { url: process.env.WS_URL });
  await joined;
  console.log("room joined");
  expect(await event).toBe(process.env.AGENT);
  service.disconnect();
});
