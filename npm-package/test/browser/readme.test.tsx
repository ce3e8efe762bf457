/** The README's React examples run, over the real server. */

import { Dashboard } from "virtual:readme/0.tsx";
import { Agent, Calls } from "virtual:readme/1.tsx";
import { expect, test } from "vitest";
import { becomes, countedClient, Page, publish, publishAll, server, strict } from "./page.js";

const ROOM = "dashboard:overview";
const shows = (page: Page, text: string) => becomes(() => page.text.includes(text), true);

test("the dashboard shows what it says, and its parts share one socket and one join", async () => {
  const [id, notice] = [crypto.randomUUID(), crypto.randomUUID()];
  await publishAll([{ type: "agent_status_change", data: { agentId: id, status: "busy" } }]);
  const { client, sockets } = countedClient();
  const page = new Page();
  page.render(
    strict(
      client,
      <>
        <Dashboard user="demo-user" getToken={async () => server.token} />
        <Agent id={id} />
        <Calls agent={id} />
      </>,
    ),
  );
  await shows(page, "live");
  // The demo that the server plays has calls of its own.
  await becomes(() => /Active calls: \d/.test(page.text), true);
  await shows(page, `${id}: busy`);
  await shows(page, `${id} is busy`);
  await becomes(() => client.roomState("admin:broadcast")?.status, "joined");
  await publish("admin:broadcast", "admin_broadcast", { message: notice, level: "info" });
  await shows(page, notice);
  for (const minutes of [1, 2, 3]) await publish(`agent:${id}`, "call", { callId: "c", minutes });
  await shows(page, "c: 3 min");
  expect(page.text).not.toContain("c: 2 min");
  await publishAll([{ type: "agent_status_change", data: { agentId: id, status: "offline" } }]);
  await shows(page, `${id}: offline`);
  await shows(page, `${id} is offline`);
  expect([sockets.all.length, sockets.joins(ROOM), sockets.joins("admin:broadcast")]).toEqual([1, 1, 1]);
});
