// @vitest-environment happy-dom
/** `client.presence` and `usePresence` against the real server: who comes, who goes, and what makes no noise. */
import { act, cleanup, render } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import type { RealtimeClient, RoomPresence } from "../src/index.js";
import { RealtimeProvider, usePresence } from "../src/react/index.js";
import { Server, token } from "./server.js";

const ROOM = "agent:7";
(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

afterEach(cleanup);

const ids = ({ users }: RoomPresence) => users.map((user) => user.userId).join(" ");

/** Follows the room; every picture that its reader saw, and a wait for one. */
function follow(client: RealtimeClient) {
  client.joinRoom(ROOM);
  const pictures: RoomPresence[] = [];
  let look = () => {};
  client.presence.watch(ROOM, () => {
    pictures.push(client.presence.get(ROOM));
    look();
  });
  return {
    pictures,
    until: (fits: (presence: RoomPresence) => boolean) =>
      new Promise<RoomPresence>((resolve) => {
        look = () => {
          const now = client.presence.get(ROOM);
          if (fits(now)) resolve(now);
        };
        look();
      }),
  };
}

/** Joins, and resolves when it is in the room. */
function member(client: RealtimeClient): Promise<void> {
  return new Promise((resolve) => {
    client.joinRoom(ROOM).on("room", (state) => state.status === "joined" && resolve());
  });
}

const settled = (users: string) => (presence: RoomPresence) => !presence.loading && ids(presence) === users;

test("who joins comes at once; who leaves, or disconnects, goes at once whatever the grace", async () => {
  const server = await Server.start({ PRESENCE_GRACE: "1h" });
  const { until } = follow(server.client("ann").client);
  await until(settled("ann"));
  const bob = server.client("bob");
  await member(bob.client);
  await until(settled("ann bob"));
  const eve = server.client("eve");
  await member(eve.client);
  await until(settled("ann bob eve"));
  bob.client.leaveRoom(ROOM);
  await until(settled("ann eve"));
  eve.client.disconnect();
  await until(settled("ann"));
});

test("another user on the same client: the one before is gone at once", async () => {
  const server = await Server.start({ PRESENCE_GRACE: "1h" });
  const { until } = follow(server.client("ann").client);
  const bob = server.client("bob");
  await member(bob.client);
  await until(settled("ann bob"));
  await bob.client.connect(token("eve"));
  await until(settled("ann eve"));
});

test("who is lost goes after the grace", async () => {
  const server = await Server.start({ PRESENCE_GRACE: "700ms" });
  const { until } = follow(server.client("ann").client);
  const eve = server.client("eve");
  await member(eve.client);
  await until(settled("ann eve"));
  // With this it can't come back.
  eve.client.connect(() => new Promise<string>(() => {}));
  const before = performance.now();
  eve.cut();
  await until(settled("ann"));
  expect(performance.now() - before).toBeGreaterThan(600);
});

test("a reconnect within the grace, one's own or another's, changes nothing that is shown", async () => {
  const server = await Server.start({ PRESENCE_GRACE: "60s" });
  const ann = server.client("ann");
  const { pictures, until } = follow(ann.client);
  const bob = server.client("bob");
  await member(bob.client);
  await until(settled("ann bob"));
  const seen = pictures.length;
  const back = member(bob.client);
  bob.cut();
  await back;
  // Whatever the server told of it is here before the answer.
  ann.client.presence.refresh(ROOM);
  await until(settled("ann bob"));
  expect(new Set(pictures.slice(seen).map(ids))).toEqual(new Set(["ann bob"]));
  ann.cut();
  await until((presence) => presence.loading);
  await until(settled("ann bob"));
  expect(new Set(pictures.slice(seen).map(ids))).toEqual(new Set(["ann bob"]));
});

test("over a kill of the server: nobody is left who is not there, and who comes back is no news", async () => {
  const server = await Server.start({ PRESENCE_GRACE: "1500ms" });
  const ann = server.client("ann");
  const { until } = follow(ann.client);
  const [bob, eve] = [server.client("bob"), server.client("eve")];
  await Promise.all([member(bob.client), member(eve.client)]);
  await until(settled("ann bob eve"));
  const told: string[] = [];
  for (const name of ["presence_join", "presence_leave"] as const) ann.client.on(name, () => told.push(name));
  await server.kill();
  eve.client.disconnect();
  await server.start();
  await until(settled("ann bob"));
  expect(told).toEqual([]);
});

test("above the limit there are counts only, and below it the list again", async () => {
  const server = await Server.start({ PRESENCE_LIMIT: "4", PRESENCE_GRACE: "60s" });
  const { until } = follow(server.client("ann").client);
  const others = ["bob", "cat", "dan", "eve"].map((user) => server.client(user).client);
  await Promise.all(others.map(member));
  const many = await until((presence) => presence.countsOnly);
  expect(many).toMatchObject({ users: [], userCount: 5, loading: false });
  for (const client of others.slice(1)) client.leaveRoom(ROOM);
  await until(settled("ann bob"));
});

test("usePresence renders who is there, over joins, leaves and a reconnect", async () => {
  const server = await Server.start({ PRESENCE_GRACE: "60s" });
  const ann = server.client("ann");
  const shown: string[] = [];
  function Who() {
    const presence = usePresence(ROOM);
    const text = `${ids(presence)} (${presence.userCount})`;
    if (shown.at(-1) !== text) shown.push(text);
    return <p>{text}</p>;
  }
  const { findByText } = render(
    <RealtimeProvider client={ann.client}>
      <Who />
    </RealtimeProvider>,
  );
  const found = (text: string) => findByText(text, {}, { timeout: 20_000 });
  await found("ann (1)");
  const bob = server.client("bob");
  await member(bob.client);
  await found("ann bob (2)");
  const rejoined = new Promise<void>((resolve) => {
    ann.client.on("state", (state) => state.status === "connected" && resolve());
  });
  await act(async () => {
    ann.cut();
    await rejoined;
  });
  bob.client.leaveRoom(ROOM);
  await found("ann (1)");
  expect(shown).toEqual([" (0)", "ann (1)", "ann bob (2)", "ann (1)"]);
});
