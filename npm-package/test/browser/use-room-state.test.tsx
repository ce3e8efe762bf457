/** `useRoomState` in Chromium: the snapshot, one join, and at most one render a frame. */
import { expect, test } from "vitest";
import { useRoomState, useWebSocketRoom } from "../../src/react/index.js";
import {
  becomes,
  countedClient,
  freshRoom,
  members,
  Page,
  publish,
  publishAll,
  server,
  strict,
} from "./page.js";

const agent = (agentId: string, status: string) => ({
  type: "agent_status_change",
  data: { agentId, status },
});

function Agents({ room }: { room: string }) {
  const { events, loading, recovered } = useRoomState(room, "agent_status_change");
  const shown = events.map(({ data }) => `${data.agentId}:${data.status}`).join(" ");
  return <p>{`${loading ? "loading" : recovered} ${shown}`}</p>;
}

function Agent({ room, id }: { room: string; id: string }) {
  const { event, loading } = useRoomState(room, "agent_status_change", { key: id });
  return <b>{` ${id}=${loading ? "loading" : event?.data.status}`}</b>;
}

test("the snapshot fills it, late components have it in their first commit, all share one join", async () => {
  const room = freshRoom();
  for (const [id, status] of [
    ["b", "busy"],
    ["a", "online"],
    ["b", "offline"],
  ] as const)
    await publish(room, "agent_status_change", { agentId: id, status });
  const { client, sockets } = countedClient();
  const page = new Page();
  page.render(strict(client, <Agents room={room} />));
  await becomes(() => page.text, "loading ");
  await client.connect(server.token);
  await becomes(() => page.text, "false a:online b:offline");
  const commits = page.commits.length;
  page.render(
    strict(
      client,
      <>
        <Agents room={room} />
        {page.profiled("late", <Agent room={room} id="b" />)}
      </>,
    ),
  );
  await becomes(() => page.text, "false a:online b:offline b=offline");
  expect(page.commits.length - commits).toBe(1);
  expect([sockets.all.length, sockets.joins(room), await members(room)]).toEqual([1, 1, 1]);
  // Lost and taken up again: nothing was missed, also of what came meanwhile.
  sockets.all[0]?.close(4000, "test");
  await publish(room, "agent_status_change", { agentId: "a", status: "busy" });
  await becomes(() => page.text, "true a:busy b:offline b=offline");
  page.render(strict(client, null));
  await becomes(() => sockets.leaves(room), 1);
  await becomes(() => members(room), 0);
});

test("a burst of 1,000 events: at most one commit a frame, and none for a key that isn't in it", async () => {
  const id = crypto.randomUUID();
  const room = `agent:${id}`;
  const { client } = countedClient({ batch: false });
  let events = 0;
  const page = new Page();
  function All() {
    const { events: all, byKey } = useRoomState(room, "agent_status_change", { keyBy: "status" });
    return <p>{`${all.length} ${byKey.has("999")}`}</p>;
  }
  function Count() {
    useWebSocketRoom(room, () => {
      events += 1;
    });
    return null;
  }
  page.render(
    strict(
      client,
      <>
        {page.profiled("all", <All />)}
        {page.profiled("one", <Agent room={room} id={id} />)}
        {page.profiled("other", <Agent room={room} id="nobody" />)}
        <Count />
      </>,
    ),
  );
  await client.connect(server.token);
  await becomes(() => page.text, `0 false ${id}=undefined nobody=undefined`);
  const before = page.count("other");
  await publishAll(Array.from({ length: 1000 }, (_, n) => agent(id, `${n}`)));
  await becomes(() => page.text.split(" ").slice(1).join(" "), `true ${id}=999 nobody=undefined`);
  expect({ all: page.most("all"), one: page.most("one"), other: page.count("other") - before }).toEqual({
    all: 1,
    one: 1,
    other: 0,
  });
  expect(events, "events that the burst brought").toBeGreaterThan(100);
  expect(page.count("all"), `commits for ${events} events`).toBeLessThan(events / 4);
});
