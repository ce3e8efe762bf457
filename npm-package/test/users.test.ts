/** Another user is another user, however the token comes: nothing of the one before is shown, said or asked in their name. */
import { expect, test, vi } from "vitest";
import type { TokenSource } from "../src/types.js";
import { type FakeCore, fakeClient, settled } from "./fake-core.js";

function jwt(sub: string, extra = ""): string {
  return `h.${btoa(JSON.stringify({ sub, extra })).replace(/=/g, "")}.s`;
}

const giving = (sub: string) => () => jwt(sub);

/** A client that is connected as ann, and has seen something as her. */
async function ann(source: TokenSource = giving("ann"), user?: string) {
  const made = fakeClient();
  const room = made.client.joinRoom("dashboard:overview");
  const connected = made.client.connect(source, user === undefined ? undefined : { url: "ws://h/ws", user });
  made.loads[0]?.succeed();
  await settled();
  const core = made.cores[0] as FakeCore;
  core.connected("ann");
  await connected;
  core.joined("dashboard:overview");
  core.event("metric_update", { metric: "salary", values: { total: 7 } });
  core.event("agent_status_change", { agentId: "7", status: "busy" });
  const shown = () => [
    made.client.metrics.get("salary")?.values.total,
    made.client.latest("dashboard:overview")?.events().length,
    room.state.status,
  ];
  expect(shown()).toEqual([7, 2, "joined"]);
  return { ...made, core, room, shown };
}

const NOTHING = [undefined, 0, "joining"];

test("a function that differs is asked at once, and another sub is another session", async () => {
  const { client, cores, core, shown } = await ann();
  const bob = vi.fn(giving("bob"));
  const connected = client.connect(bob);
  await settled();
  expect(bob).toHaveBeenCalledOnce();
  expect(shown()).toEqual(NOTHING);
  expect(core.count("disconnect")).toBe(1);
  // The new session begins with that very answer.
  expect(cores[1]?.calls).toContainEqual(["setToken", jwt("bob")]);
  expect(bob).toHaveBeenCalledOnce();
  cores[1]?.connected("bob");
  await connected;
});

test("a function that differs and gives the same user's token changes nothing", async () => {
  const { client, cores, core, shown } = await ann();
  await client.connect(() => jwt("ann"));
  expect([cores.length, core.count("setToken"), shown()]).toEqual([1, 1, [7, 2, "joined"]]);
  await client.connect(() => jwt("ann", "fresh"));
  expect(core.calls.at(-1)).toEqual(["setToken", jwt("ann", "fresh")]);
  expect(cores).toHaveLength(1);
});

test("what is asked before the new function has answered is asked in its user's name", async () => {
  const { client, cores, core } = await ann();
  let answer: (token: string) => void = () => {};
  client.connect(() => new Promise<string>((resolve) => (answer = resolve)));
  await settled();
  client.send("pay", { n: 1 });
  const reply = client.request("custom:mine");
  const room = client.joinRoom("user:bob");
  expect(core.asked.slice(-1)).toEqual([["connect"]]);
  answer(jwt("bob"));
  await settled();
  const next = cores[1] as FakeCore;
  expect(next.asked.map(([name, what]) => [name, what])).toEqual([
    ["join", "dashboard:overview"],
    ["join", "user:bob"],
    ["send", "pay"],
    ["request", "custom:mine"],
    ["connect", undefined],
  ]);
  next.connected("bob");
  next.sink.reply(1, true, { ok: true });
  expect(await reply).toEqual({ ok: true });
  expect(room.state.status).toBe("joining");
});

test("… and goes on where it turns out to be the same user", async () => {
  const { client, core } = await ann();
  let answer: (token: string) => void = () => {};
  const connected = client.connect(() => new Promise<string>((resolve) => (answer = resolve)));
  await settled();
  client.send("pay", { n: 1 });
  client.joinRoom("agent:7");
  answer(jwt("ann"));
  await connected;
  expect(core.calls).toContainEqual(["send", "pay", { n: 1 }]);
  expect(core.calls).toContainEqual(["join", "agent:7", true]);
});

test("while the server is away the new function is asked all the same", async () => {
  const { client, cores, core, shown } = await ann();
  core.lost();
  client.connect(giving("bob"));
  await settled();
  expect(shown()).toEqual(NOTHING);
  expect(cores).toHaveLength(2);
});

test.each([
  ["a function", giving("bob")],
  ["a text", jwt("bob")],
])("after a logout nothing of the user before is left when %s is given", async (_, source) => {
  const { client, shown } = await ann();
  client.disconnect();
  client.connect(source);
  // At once: whether the server, or the function, ever answers is not waited for.
  expect(shown()).toEqual(NOTHING);
});

test("after a logout the same function may go on, and its other user is another session", async () => {
  let sub = "ann";
  const { client, cores, core, shown } = await ann(() => jwt(sub));
  client.disconnect();
  sub = "bob";
  client.connect();
  core.sink.needToken();
  await settled();
  expect(shown()).toEqual(NOTHING);
  expect(cores).toHaveLength(2);
});

test("a provider that turns to another user on a live connection, or to nobody, is another session", async () => {
  for (const next of [jwt("bob"), null]) {
    let token: string | null = jwt("ann");
    const { core, cores, shown } = await ann(() => token);
    token = next;
    core.sink.needToken();
    await settled();
    expect(shown()).toEqual(NOTHING);
    expect(cores[1]?.calls).toContainEqual(["setToken", next]);
  }
});

test("another `user` is another session at once; the same one makes a new function no question", async () => {
  const { client, cores, core, shown } = await ann(giving("ann"), "ann");
  const inline = vi.fn(giving("ann"));
  await client.connect(inline, { url: "ws://h/ws", user: "ann" });
  expect([cores.length, inline.mock.calls.length, core.count("setToken")]).toEqual([1, 0, 1]);
  client.connect(giving("bob"), { url: "ws://h/ws", user: "bob" });
  expect(shown()).toEqual(NOTHING);
  expect(core.count("disconnect")).toBe(1);
});

test("queued sends and requests of the user before are refused, not passed on", async () => {
  const { client, cores, core } = await ann();
  core.lost();
  const asked = expect(client.request("custom:mine")).rejects.toMatchObject({ code: "disconnected" });
  client.connect(jwt("bob"));
  await asked;
  expect(cores[1]?.count("request")).toBe(0);
});

test("who only the server can tell apart: what was seen is forgotten before the state says so", async () => {
  const { client, core, shown } = await ann();
  const seen: unknown[] = [];
  client.on("state", () => seen.push(shown()));
  core.lost();
  core.connected("bob");
  expect(seen.at(-1)).toEqual(NOTHING);
});
