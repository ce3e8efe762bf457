/** Readers are told once a frame, and frames are asked for once, whoever comes and goes meanwhile. */
import { expect, test, vi } from "vitest";
import { onceAFrame } from "../src/react/frame.js";

test("who leaves before the frame takes its frame along: the next one waits for one only, and is told once", () => {
  vi.useFakeTimers();
  const asked = new Map<number, () => void>();
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("requestAnimationFrame", (call: () => void) => {
    const id = Math.random();
    asked.set(id, call);
    return id;
  });
  vi.stubGlobal("cancelAnimationFrame", (id: number) => asked.delete(id));
  const readers = new Set<() => void>();
  const subscribe = onceAFrame((changed) => {
    readers.add(changed);
    return () => readers.delete(changed);
  });
  const tell = () => {
    for (const reader of readers) reader();
  };
  let told = 0;
  for (let round = 0; round < 100; round++) {
    const end = subscribe(() => {
      told += 1;
    });
    tell();
    if (round < 99) end();
  }
  expect([asked.size, vi.getTimerCount()]).toEqual([1, 1]);
  for (const [id, call] of [...asked]) if (asked.delete(id)) call();
  expect([told, asked.size, vi.getTimerCount()]).toEqual([1, 0, 0]);
  vi.unstubAllGlobals();
  vi.useRealTimers();
});
