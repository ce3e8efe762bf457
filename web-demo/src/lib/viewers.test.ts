/** Who looks at the dashboard: order, initials, counts and news. */
import type { RoomPresence } from "@osbackend/realtime";
import { describe, expect, test } from "vitest";
import { COLORS, newsOf, summaryOf, viewersOf } from "./viewers.ts";

const user = (userId: string, clients: number, minute: number, name?: string) => ({
  userId,
  clients,
  joinedAt: new Date(minute * 60_000).toISOString(),
  ...(name ? { info: { name } } : {}),
});
const presence = (...users: ReturnType<typeof user>[]): RoomPresence => ({
  users,
  userCount: users.length,
  anonymous: 0,
  countsOnly: false,
  loading: false,
});

describe("viewersOf", () => {
  test("has me first, then who came first", () => {
    const viewers = viewersOf(presence(user("c", 1, 1), user("b", 1, 2), user("a", 2, 3)), "b");
    expect(viewers.map(({ id, isMe }) => [id, isMe])).toEqual([
      ["b", true],
      ["c", false],
      ["a", false],
    ]);
  });

  test.each([
    ["Demo User", "DU"],
    ["Grace", "G"],
    ["Ada  King-Noel", "AN"],
  ])("has initials of %s", (name, initials) => {
    expect(viewersOf(presence(user("x", 1, 0, name)), undefined)[0]).toMatchObject({ name, initials });
  });

  test("names who has no name by the id, in a color that stays", () => {
    const [viewer] = viewersOf(presence(user("demo-7", 1, 0)), undefined);
    expect(viewer).toMatchObject({ name: "demo-7", initials: "D7" });
    expect(viewer?.color).toBeLessThan(COLORS);
    expect(viewersOf(presence(user("demo-7", 2, 5)), undefined)[0]?.color).toBe(viewer?.color);
  });
});

test("summaryOf counts people and connections", () => {
  expect(summaryOf(presence(user("a", 1, 0)))).toBe("1 person, 1 connection");
  expect(summaryOf({ ...presence(user("a", 2, 0), user("b", 1, 0)), anonymous: 1 })).toBe(
    "2 people, 4 connections",
  );
  expect(summaryOf({ ...presence(), userCount: 900, countsOnly: true })).toBe("900 people");
});

test("newsOf tells of others only", () => {
  const before = viewersOf(presence(user("me", 1, 0), user("ada", 1, 0, "Ada")), "me");
  const after = viewersOf(presence(user("grace", 1, 0, "Grace")), "me");
  expect(newsOf(before, after)).toBe("Grace joined. Ada left.");
  expect(newsOf(after, after)).toBe("");
});
