/** Errors as a developer sees them on the console. */
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { RealtimeError } from "../src/index.js";
import { BackendError } from "../src/server/index.js";

test("a printed error has the fields that are known, and no others", () => {
  const refused = new RealtimeError("forbidden", "no rule allows this room", {
    room: "agent:7",
    cause: "why",
  });
  expect([refused.code, refused.room, refused.closeCode, refused.cause]).toEqual([
    "forbidden",
    "agent:7",
    undefined,
    "why",
  ]);
  expect(inspect(new BackendError("closed", "the client is closed", { status: 503 }))).toContain(
    "status: 503",
  );
  for (const error of [refused, new BackendError("closed", "the client is closed")]) {
    expect(inspect(error)).not.toContain("undefined");
  }
});
