/** An outage's numbers: counted from what comes, not from what was promised. */
import type { RoomResult } from "@osbackend/realtime";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { isOver, lostIn, OutageLog, recoveredIn } from "./outages.ts";

const ROOM = "agent:7";
const joined = (offset: number, replayed: number, recovered = true, room = ROOM): RoomResult => ({
  room,
  epoch: "e",
  offset,
  recovered,
  replayed,
  clientCount: 1,
});

describe("OutageLog", () => {
  let log: OutageLog;

  beforeEach(() => {
    log = new OutageLog();
    log.joined(ROOM, 10);
    log.event(ROOM, 11, 0);
    log.event(ROOM, 12, 0);
  });

  const outage = () => {
    const found = log.outage();
    if (!found) throw new Error("there was no outage");
    return found;
  };

  test("counts attempts, and the time of the first loss", () => {
    log.lost("1006", 100);
    log.lost("1006", 900);
    expect(outage()).toMatchObject({ lostAt: 100, attempts: 2, why: "1006", rooms: [] });
    expect(isOver(outage())).toBe(false);
  });

  test("is whole when all that was missed has come, and not before", () => {
    log.lost("1006", 0);
    log.back([joined(15, 3)], true, 50);
    log.event(ROOM, 13, 0);
    log.event(ROOM, 14, 0);
    expect(outage().rooms).toMatchObject([{ from: 12, to: 15, replayed: 3, received: 2, done: false }]);
    expect(isOver(outage())).toBe(false);
    log.event(ROOM, 15, 0);
    // Neither what comes twice nor what is live again is the outage's.
    log.event(ROOM, 14, 0);
    log.event(ROOM, 16, 0);
    expect([isOver(outage()), recoveredIn(outage()), lostIn(outage())]).toEqual([true, 3, 0]);
  });

  test("tells what was promised and never came", () => {
    log.lost("1006", 0);
    log.back([joined(15, 3)], true, 50);
    log.event(ROOM, 13, 0);
    log.event(ROOM, 16, 0);
    expect([isOver(outage()), recoveredIn(outage()), lostIn(outage())]).toEqual([true, 1, 2]);
  });

  test("takes conflated events for replaced ones", () => {
    log.lost("1006", 0);
    log.back([joined(16, 4)], true, 50);
    log.event(ROOM, 15, 2);
    // Replaces 16, for which it was in time, and 17, which is none of the outage's.
    log.event(ROOM, 18, 2);
    expect(outage().rooms).toMatchObject([{ received: 1, skipped: 3, done: true }]);
    expect(lostIn(outage())).toBe(0);
  });

  test("leaves out rooms in which nothing happened, were refused, or are new", () => {
    log.lost("1006", 0);
    const refused: RoomResult = { room: "b:1", error: { code: "forbidden", message: "no" } };
    log.back([joined(12, 0), refused, joined(4, 0, false, "c:1")], true, 50);
    expect(outage().rooms).toEqual([]);
    expect(isOver(outage())).toBe(true);
  });

  test("claims no recovery where the server had to start over", () => {
    log.lost("1006", 0);
    // The join is told before the answer is looked at.
    log.joined(ROOM, 3);
    log.back([joined(3, 0, false)], false, 50);
    expect(outage().rooms).toMatchObject([{ from: 12, to: 3, startedOver: true, done: true }]);
    expect(lostIn(outage())).toBe(0);
    log.lost("1006", 90);
    log.back([joined(4, 1)], true, 95);
    expect(outage()).toMatchObject({ lostAt: 90, rooms: [{ from: 3, to: 4 }] });
  });

  test("tells its readers each change, and keeps the object between them", () => {
    const changed = vi.fn();
    const off = log.subscribe(changed);
    log.event(ROOM, 13, 0);
    expect(changed).not.toHaveBeenCalled();
    log.lost("1006", 0);
    expect(changed).toHaveBeenCalledTimes(1);
    expect(log.outage()).toBe(log.outage());
    off();
    log.lost("1006", 0);
    expect(changed).toHaveBeenCalledTimes(1);
  });
});
