/** `usePresence` in Chromium: who comes and goes, by the real server. */
import { expect, test } from "vitest";
import { usePresence } from "../../src/react/index.js";
import { becomes, countedClient, freshRoom, Page, server, strict } from "./page.js";

test("shows who is there, who comes and who leaves; one join for two components", async () => {
  const room = freshRoom();
  const { client, sockets } = countedClient();
  function Who({ at }: { at: string | null }) {
    const { users, userCount, loading } = usePresence(at);
    return <p>{loading ? "loading " : `${userCount}:${users.map((user) => user.userId).join(",")} `}</p>;
  }
  const page = new Page();
  const two = (at: string | null) =>
    page.render(
      strict(
        client,
        <>
          {page.profiled("who", <Who at={at} />)}
          <Who at={room} />
        </>,
      ),
    );
  two(room);
  await client.connect(server.token);
  await becomes(() => page.text, "1:demo-user 1:demo-user ");

  const admin = countedClient().client;
  await admin.connect(server.adminToken);
  const there = admin.joinRoom(room);
  await becomes(() => page.text, "2:demo-admin,demo-user 2:demo-admin,demo-user ");
  there.leave();
  await becomes(() => page.text, "1:demo-user 1:demo-user ");
  expect([sockets.all.length, sockets.joins(room)]).toEqual([1, 1]);
  expect(page.most("who")).toBe(1);
  two(null);
  await becomes(() => page.text, "loading 1:demo-user ");
});
