/** Listeners: order, ending, and that one that throws stops nobody. */
import { expect, test, vi } from "vitest";
import { Emitter } from "../src/emitter.js";

test("listeners are called in order, each subscription ends by itself", () => {
  const emitter = new Emitter(() => {});
  const seen: string[] = [];
  const listener = () => seen.push("a");
  const offFirst = emitter.on("x", listener);
  emitter.on("x", listener);
  emitter.on("x", () => seen.push("b"));
  emitter.emit("x", 1);
  offFirst();
  offFirst();
  emitter.emit("x", 1);
  expect(seen).toEqual(["a", "a", "b", "a", "b"]);
  emitter.off("x", listener);
  emitter.emit("x", 1);
  expect(seen.slice(5)).toEqual(["b"]);
});

test("once is once, also when it emits the same name itself", () => {
  const emitter = new Emitter(() => {});
  const listener = vi.fn(() => emitter.emit("x", 2));
  emitter.on("x", listener, true);
  emitter.emit("x", 1);
  emitter.emit("x", 3);
  expect(listener).toHaveBeenCalledExactlyOnceWith(1, undefined);
  expect(emitter.has("x")).toBe(false);
});

test("a listener that throws is reported and stops nobody", () => {
  const failed = vi.fn();
  const emitter = new Emitter(failed);
  const after = vi.fn();
  const thrown = new Error("no");
  emitter.on("x", () => {
    throw thrown;
  });
  emitter.on("x", after);
  emitter.emit("x", 1, "meta");
  expect(failed).toHaveBeenCalledExactlyOnceWith(thrown, "x");
  expect(after).toHaveBeenCalledExactlyOnceWith(1, "meta");
});

test("changes during an emission: removed is not called any more, added only next time", () => {
  const emitter = new Emitter(() => {});
  const late = vi.fn();
  const removed = vi.fn();
  emitter.on(
    "x",
    () => {
      off();
      emitter.on("x", late);
    },
    true,
  );
  const off = emitter.on("x", removed);
  emitter.emit("x", 1);
  expect(removed).not.toHaveBeenCalled();
  expect(late).not.toHaveBeenCalled();
  emitter.emit("x", 2);
  expect(late).toHaveBeenCalledOnce();
});
