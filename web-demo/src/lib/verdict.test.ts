/** What the page says of an outage is true at each moment of it. */
import { describe, expect, test } from "vitest";
import type { Outage, Recovery } from "./outages.ts";
import { verdictOf } from "./verdict.ts";

const room = (change: Partial<Recovery>): Recovery => ({
  room: "dashboard:overview",
  from: 10,
  to: 14,
  replayed: 4,
  received: 4,
  skipped: 0,
  done: true,
  startedOver: false,
  ...change,
});

const outage = (change: Partial<Outage>): Outage => ({
  lostAt: 0,
  why: "1006 connection lost",
  attempts: 1,
  rooms: [],
  ...change,
});

describe("verdictOf", () => {
  test("does not say that a dead server keeps events", () => {
    expect(verdictOf(outage({}), "killed").text).toBe("The server is dead. Its file has every event.");
    expect(verdictOf(outage({}), "restarting").text).toBe("The server starts again. The next try finds it.");
    expect(verdictOf(outage({}), "cut").text).toBe("The line is cut. The server keeps each event.");
    expect(verdictOf(outage({}), undefined).id).toBe("away");
  });

  test.each([
    ["none", undefined],
    ["recovering", outage({ backAt: 1, rooms: [room({ done: false, received: 1 })] })],
    ["whole", outage({ backAt: 1, rooms: [room({})] })],
    ["lost", outage({ backAt: 1, rooms: [room({ received: 3 })] })],
    ["snapshot", outage({ backAt: 1, rooms: [room({ startedOver: true })] })],
  ] as const)("is %s", (id, given) => {
    expect(verdictOf(given, undefined).id).toBe(id);
  });

  test("counts what came after the outage", () => {
    const two = outage({
      backAt: 1,
      rooms: [room({}), room({ room: "clips:analytics", from: 1, to: 2, received: 1 })],
    });
    expect(verdictOf(two, undefined).text).toBe("5 events recovered, nothing lost");
  });
});
