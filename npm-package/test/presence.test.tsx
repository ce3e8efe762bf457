// @vitest-environment happy-dom
/** Presence: the store and the hook over a fake core, reconnects and large rooms included. */
import { act, cleanup, render } from "@testing-library/react";
import { StrictMode } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, expect, test, vi } from "vitest";
import { RealtimeProvider, usePresence } from "../src/react/index.js";
import { type FakeCore, fakeClient, settled } from "./fake-core.js";

const ROOM = "agent:7";
const user = (userId: string, clients = 1) => ({ userId, clients, joinedAt: "2026-01-01T00:00:00.000Z" });

/** Answers the newest question. */
function answer(core: FakeCore, users: string[], more: object = {}): void {
  const asked = core.calls.filter(([method]) => method === "request").length;
  core.sink.reply(asked, true, {
    room: ROOM,
    users: users.map((name) => user(name)),
    anonymous: 0,
    ...more,
  });
}

function system(core: FakeCore, type: string, data: object): void {
  const timestamp = "2026-01-01T00:00:00.000Z";
  core.sink.system({ type, data: { room: ROOM, ...data }, room: ROOM, timestamp });
}

afterEach(cleanup);

test("asked at each join, kept true by what comes after, silent for a room that nobody watches", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const room = client.joinRoom(ROOM);
  core.joined(ROOM);
  expect(core.count("request")).toBe(0);
  const changed = vi.fn();
  const end = client.presence.watch(ROOM, changed);
  expect(core.calls.at(-1)).toEqual(["request", "presence:get", { room: ROOM }, undefined]);
  expect(room.presence).toMatchObject({ loading: true, users: [] });
  // In one frame: the answer, and who came right after it.
  answer(core, ["ann"], { anonymous: 2 });
  system(core, "presence_join", { userId: "zoe", info: { name: "Zoe" } });
  system(core, "presence_join", { userId: "bob" });
  system(core, "presence_join", { userId: "bob" });
  expect(room.presence).toMatchObject({ loading: false, userCount: 3, anonymous: 2, countsOnly: false });
  expect(room.presence.users.map((who) => who.userId)).toEqual(["ann", "bob", "zoe"]);
  expect(room.presence.users[2]?.info).toEqual({ name: "Zoe" });
  expect(room.presence).toBe(client.presence.get(ROOM));
  await settled();
  expect(changed).toHaveBeenCalledOnce();
  system(core, "presence_leave", { userId: "ann" });
  system(core, "presence_leave", { userId: "nobody" });
  expect(room.presence.users.map((who) => who.userId)).toEqual(["bob", "zoe"]);
  end();
  expect(client.presence.get(ROOM)).toMatchObject({ loading: true, users: [] });
});

test("a reconnect: what was known stays until the new answer, and an old answer counts no more", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const room = client.joinRoom(ROOM);
  client.presence.watch(ROOM, () => {});
  core.joined(ROOM);
  answer(core, ["ann", "bob"]);
  core.lost();
  expect(room.presence).toMatchObject({ loading: true, userCount: 2 });
  core.connected();
  core.joined(ROOM);
  expect(core.count("request")).toBe(2);
  system(core, "presence_join", { userId: "early" });
  core.sink.reply(1, true, { room: ROOM, users: [user("old")], anonymous: 0 });
  expect(room.presence).toMatchObject({ loading: true, userCount: 2 });
  answer(core, ["ann", "eve"]);
  expect(room.presence).toMatchObject({ loading: false, userCount: 2 });
  expect(room.presence.users.map((who) => who.userId)).toEqual(["ann", "eve"]);
});

test("a large room has counts, and what comes unasked replaces everything", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  const room = client.joinRoom(ROOM);
  client.presence.watch(ROOM, () => {});
  core.joined(ROOM);
  answer(core, ["ann"]);
  system(core, "presence", { users: [], anonymous: 1, counts: { users: 5000, clients: 5010 } });
  expect(room.presence).toMatchObject({ countsOnly: true, userCount: 5000, users: [], anonymous: 1 });
  client.presence.refresh(ROOM);
  answer(core, [], { counts: { users: 4000, clients: 4000 } });
  expect(room.presence.userCount).toBe(4000);
  system(core, "presence", { users: [user("ann", 0)], anonymous: 0 });
  expect(room.presence).toMatchObject({ countsOnly: false, userCount: 1, users: [user("ann", 0)] });
});

test("a refresh that is refused takes nothing away from what was known, nor from what came meanwhile", async () => {
  const { client, live } = fakeClient();
  client.on("error", () => {});
  const core = await live();
  const room = client.joinRoom(ROOM);
  client.presence.watch(ROOM, () => {});
  core.joined(ROOM);
  answer(core, ["ann"]);
  client.presence.refresh(ROOM);
  system(core, "presence_join", { userId: "bob" });
  core.sink.reply(2, false, { code: "rate_limited", message: "later" });
  expect(room.presence).toMatchObject({ loading: false, error: { code: "rate_limited" }, userCount: 2 });
  system(core, "presence_leave", { userId: "ann" });
  expect(room.presence.users.map((who) => who.userId)).toEqual(["bob"]);
});

test("a refusal is told, and another user is not shown who was there", async () => {
  const { client, live } = fakeClient();
  client.on("error", () => {});
  const core = await live();
  const room = client.joinRoom(ROOM);
  client.presence.watch(ROOM, () => {});
  core.joined(ROOM);
  core.sink.reply(1, false, { code: "forbidden", message: "no" });
  expect(room.presence).toMatchObject({ loading: false, error: { code: "forbidden" } });
  client.presence.refresh(ROOM);
  answer(core, ["ann"]);
  expect(room.presence.error).toBeUndefined();
  core.lost();
  core.connected("somebody else");
  expect(room.presence).toMatchObject({ users: [], loading: true });
});

test("usePresence: joins, renders who is there, and nothing on a server", async () => {
  const { client, live } = fakeClient();
  const core = await live();
  function Who({ room }: { room: string | null }) {
    const { users, loading } = usePresence(room);
    return <p>{loading ? "loading" : users.map((who) => who.userId).join(" ")}</p>;
  }
  const page = (room: string | null) => (
    <StrictMode>
      <RealtimeProvider client={client}>
        <Who room={room} />
      </RealtimeProvider>
    </StrictMode>
  );
  expect(renderToString(page(ROOM))).toContain("loading");
  const { container, rerender } = render(page(ROOM));
  expect(container.textContent).toBe("loading");
  await act(async () => core.joined(ROOM));
  await act(async () => answer(core, ["ann"]));
  expect(container.textContent).toBe("ann");
  await act(async () => system(core, "presence_join", { userId: "bob" }));
  expect(container.textContent).toBe("ann bob");
  rerender(page(null));
  expect(container.textContent).toBe("loading");
});
