/** The checker of domain events: it says what Rust says (shared-protocol/fixtures/generated/verdicts.json), and in which words. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { checkDomainEvent } from "../src/validate/check.js";

interface Verdict {
  type: string;
  text: string;
  path?: string;
}

const verdicts = JSON.parse(
  readFileSync(new URL("../../shared-protocol/fixtures/generated/verdicts.json", import.meta.url), "utf8"),
) as { cases: Verdict[] };

test("the checker takes what Rust takes, and refuses the field that Rust refuses", () => {
  const { cases } = verdicts;
  expect(cases.length).toBeGreaterThan(500);
  const differing = cases.flatMap(({ type, text, path }) => {
    const found = checkDomainEvent(type, JSON.parse(text));
    return found?.path === path ? [] : [{ type, text, rust: path, here: found?.path }];
  });
  expect(differing).toEqual([]);
  expect(new Set(cases.filter((one) => one.path === undefined).map((one) => one.type)).size).toBe(5);
});

test("what is wrong is told in words, and no text of the event with it", () => {
  const said = (type: string, data: unknown) => {
    const { path, expected, received } = checkDomainEvent(type, data) ?? {};
    return `${path}: ${expected}; ${received}`;
  };
  expect(said("metric_update", { metric: "m", values: { active: [1] } })).toBe(
    "data.values.active: a number, a string, a boolean or null; an array",
  );
  expect(said("metric_update", { values: {} })).toBe("data.metric: a string of 1 to 128 bytes; nothing");
  expect(said("voice_clone_progress", { userId: "u", status: "done", progress: 1 })).toBe(
    'data.status: one of "queued", "processing", "completed", "failed"; "done"',
  );
  expect(said("voice_clone_progress", { userId: "u", status: "queued", progress: 101 })).toBe(
    "data.progress: a number from 0 to 100; number 101",
  );
  expect(said("clip_played", { clipId: "secret".repeat(30), plays: 1 })).toBe(
    "data.clipId: a string of 1 to 128 bytes; a string of 180 bytes",
  );
  expect(said("clip_played", { clipId: "c", plays: 1, location: 7 })).toBe(
    "data.location: a string, or nothing; number 7",
  );
  const deep = JSON.parse(`{"clipId":"c","plays":1,"more":${"[".repeat(30_000)}${"]".repeat(30_000)}}`);
  expect(said("clip_played", deep)).toBe("data: no more than 31 levels; an object");
  expect(checkDomainEvent("order_placed", 7)).toBeUndefined();
});
