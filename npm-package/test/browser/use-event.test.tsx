/** `useEvent` in Chromium: the newest handler, no render, the room of the others. */
import { expect, test } from "vitest";
import { useEvent, useWebSocketRoom } from "../../src/react/index.js";
import { becomes, countedClient, freshRoom, members, Page, publish, server, strict } from "./page.js";

test("one event of a room or of any, by whichever handler is the newest, and never a render", async () => {
  const room = freshRoom();
  const { client, sockets } = countedClient();
  const heard: string[] = [];
  function Listener({ tag, at }: { tag: string; at: string | null }) {
    useEvent(at, "agent_status_change", ({ status }, { snapshot }) =>
      heard.push(`${tag} in room ${status}${snapshot ? " snapshot" : ""}`),
    );
    useEvent("order_placed", ({ total }) => heard.push(`${tag} anywhere ${total}`));
    return null;
  }
  const page = new Page();
  const at = (tag: string, where: string | null) =>
    page.render(strict(client, page.profiled("listener", <Listener tag={tag} at={where} />)));
  await publish(room, "agent_status_change", { agentId: "7", status: "away" });
  at("1", room);
  await client.connect(server.token);
  await becomes(() => heard.splice(0), ["1 in room away snapshot"]);
  const commits = page.count("listener");
  for (let n = 0; n < 5; n += 1) await publish(room, "order_placed", { total: n });
  await publish(room, "agent_status_change", { agentId: "7", status: "busy" });
  await becomes(() => heard.at(-1), "1 in room busy");
  expect(heard.splice(0)).toEqual([...[0, 1, 2, 3, 4].map((n) => `1 anywhere ${n}`), "1 in room busy"]);
  expect(page.count("listener")).toBe(commits);
  at("2", room);
  await becomes(() => page.count("listener"), commits + 1);
  await publish(room, "agent_status_change", { agentId: "7", status: "online" });
  await becomes(() => heard.splice(0), ["2 in room online"]);
  expect([sockets.all.length, sockets.joins(room), await members(room)]).toEqual([1, 1, 1]);
  at("3", null);
  await becomes(() => members(room), 0);
  expect([sockets.joins(room), sockets.leaves(room)]).toEqual([1, 1]);
});

test("shares the membership of the other hooks", async () => {
  const room = freshRoom();
  const { client, sockets } = countedClient();
  const heard: unknown[] = [];
  function Both() {
    useEvent(room, "clicked", (data) => heard.push(data));
    return <p>{useWebSocketRoom(room)?.status}</p>;
  }
  const page = new Page();
  page.render(strict(client, <Both />));
  await client.connect(server.token);
  await becomes(() => page.text, "joined");
  await publish(room, "clicked", { n: 1 });
  await becomes(() => heard, [{ n: 1 }]);
  expect([sockets.joins(room), await members(room)]).toEqual([1, 1]);
});
