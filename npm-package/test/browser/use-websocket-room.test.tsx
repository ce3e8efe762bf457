/** `useWebSocketRoom` in Chromium: one join, whoever mounts how often, and handlers that change. */
import { useState } from "react";
import { expect, test } from "vitest";
import { useConnectionState, useWebSocketRoom } from "../../src/react/index.js";
import { becomes, countedClient, freshRoom, members, Page, publish, server, strict } from "./page.js";

test("StrictMode and two components: one join; the last to leave leaves, after a grace", async () => {
  const room = freshRoom();
  const { client, sockets } = countedClient();
  const Member = () => <p>{`${useWebSocketRoom(room)?.status} `}</p>;
  const page = new Page();
  const show = (count: number) =>
    page.renderNow(
      strict(
        client,
        ["a", "b"].slice(0, count).map((key) => <Member key={key} />),
      ),
    );
  show(2);
  await client.connect(server.token);
  await becomes(() => page.text, "joined joined ");
  expect([sockets.all.length, sockets.joins(room), await members(room)]).toEqual([1, 1, 1]);
  show(1);
  await becomes(() => page.text, "joined ");
  // All leave, and somebody comes within the grace: nothing of it reaches the server.
  show(0);
  expect(page.text).toBe("");
  show(1);
  await becomes(() => page.text, "joined ");
  const left = performance.now();
  show(0);
  await becomes(() => sockets.leaves(room), 1);
  expect(performance.now() - left).toBeGreaterThanOrEqual(450);
  await becomes(() => members(room), 0);
  expect([sockets.joins(room), sockets.leaves(room)]).toEqual([1, 1]);
});

test("a handler that changes with each render misses nothing and joins nothing again", async () => {
  const room = freshRoom();
  const { client, sockets } = countedClient();
  const heard: string[] = [];
  function Counter() {
    const [count, setCount] = useState(0);
    const state = useWebSocketRoom(room, (event) => {
      heard.push(`${count} ${event.type}`);
      setCount(count + 1);
    });
    return <p>{`${state?.status} ${count}`}</p>;
  }
  const page = new Page();
  page.render(strict(client, <Counter />));
  await client.connect(server.token);
  await becomes(() => page.text, "joined 0");
  for (let n = 0; n < 3; n += 1) {
    await publish(room, "clicked", { n });
    await becomes(() => page.text, `joined ${n + 1}`);
  }
  expect(heard).toEqual(["0 clicked", "1 clicked", "2 clicked"]);
  expect(sockets.joins(room)).toBe(1);
});

test("who comes later is told the newest of each key; another room, or none, is another membership", async () => {
  const [room, other] = [freshRoom(), freshRoom()];
  const { client, sockets } = countedClient();
  const heard: unknown[] = [];
  const First = () => <p>{`${useWebSocketRoom(room)?.status} ${useConnectionState().status}`}</p>;
  function Late({ at }: { at: string | null }) {
    const state = useWebSocketRoom(at, ({ data, snapshot }) => heard.push([data, snapshot]));
    return <p>{` ${state?.status}`}</p>;
  }
  const page = new Page();
  page.render(strict(client, <First />));
  await publish(room, "agent_status_change", { agentId: "7", status: "busy" });
  await client.connect(server.token);
  await becomes(() => page.text, "joined connected");
  page.render(
    strict(
      client,
      <>
        <First />
        <Late at={room} />
      </>,
    ),
  );
  await becomes(() => heard, [[{ agentId: "7", status: "busy" }, true]]);
  const late = (at: string | null) =>
    page.renderNow(
      strict(
        client,
        <>
          <First />
          <Late at={at} />
        </>,
      ),
    );
  late(other);
  expect(page.text).toBe("joined connected joining");
  await becomes(() => page.text, "joined connected joined");
  expect(await members(other)).toBe(1);
  late(null);
  expect(page.text).toBe("joined connected undefined");
  await becomes(() => members(other), 0);
  expect([sockets.joins(room), sockets.leaves(room), sockets.joins(other)]).toEqual([1, 0, 1]);
});
