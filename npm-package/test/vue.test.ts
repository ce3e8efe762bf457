/** Vue's `reactive` and `ref` may hold what the package gives: a proxy around it would not get at its private fields. */
import { expect, test } from "vitest";
import { reactive, ref } from "vue";
import { fakeClient } from "./fake-core.js";

test.each(["reactive", "ref"])("%s holds a client, a room and the stores", async (how) => {
  const held = <T extends object>(value: T): T =>
    how === "ref" ? (ref(value).value as T) : (reactive({ value }).value as T);
  const { client, live } = fakeClient();
  const core = await live("t");
  const wrapped = held(client);
  const room = held(wrapped.joinRoom("agent:7"));
  core.joined("agent:7");
  expect([wrapped.state.status, room.state.status, room.can("join")]).toEqual(["connected", "joined", false]);
  core.event("metric_update", { metric: "m", values: { n: 1 } });
  expect(held(client.metrics).get("m")?.values).toEqual({ n: 1 });
  expect(held(client.presence).get("agent:7").loading).toBe(true);
  room.leave();
  wrapped.disconnect();
  await expect(wrapped.connect(null, { url: "nonsense:" })).rejects.toMatchObject({ code: "bad_options" });
});
