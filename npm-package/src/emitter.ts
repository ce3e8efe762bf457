/** Listeners by name; one that throws never stops the others. */
import type { Unsubscribe } from "./types.js";

/** How a listener is called; the typed face casts to it. */
export type Call = (value: unknown, meta?: unknown) => void;

interface Entry {
  readonly call: Call;
  readonly once: boolean;
  active: boolean;
}

/** A map of listeners. Lists are copied on change, so that an emission under way is not disturbed. */
export class Emitter {
  readonly #lists = new Map<string, readonly Entry[]>();
  readonly #failed: (thrown: unknown, name: string) => void;

  /** `failed` is told what a listener threw, and must not throw itself. */
  constructor(failed: (thrown: unknown, name: string) => void) {
    this.#failed = failed;
  }

  on(name: string, call: Call, once = false): Unsubscribe {
    const entry: Entry = { call, once, active: true };
    this.#lists.set(name, [...(this.#lists.get(name) ?? []), entry]);
    return () => this.#remove(name, (other) => other === entry);
  }

  /** Ends every subscription of this listener under this name. */
  off(name: string, call: Call): void {
    this.#remove(name, (entry) => entry.call === call);
  }

  has(name: string): boolean {
    return this.#lists.has(name);
  }

  emit(name: string, value: unknown, meta?: unknown): void {
    const list = this.#lists.get(name);
    if (list === undefined) return;
    for (const entry of list) {
      // Ended by a listener before it in this very emission.
      if (!entry.active) continue;
      if (entry.once) this.#remove(name, (other) => other === entry);
      try {
        entry.call(value, meta);
      } catch (thrown) {
        this.#failed(thrown, name);
      }
    }
  }

  #remove(name: string, match: (entry: Entry) => boolean): void {
    const list = this.#lists.get(name);
    if (list === undefined) return;
    const rest = list.filter((entry) => {
      const gone = match(entry);
      if (gone) entry.active = false;
      return !gone;
    });
    if (rest.length === 0) this.#lists.delete(name);
    else if (rest.length !== list.length) this.#lists.set(name, rest);
  }
}
