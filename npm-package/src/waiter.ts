/** One promise shared by all who wait for the same thing, made anew after it is settled. */

/** Waiting for the first connection. */
export class Waiter {
  #current: PromiseWithParts | undefined;

  /** The promise of the turn that is under way. */
  promise(): Promise<void> {
    this.#current ??= withParts();
    return this.#current.promise;
  }

  resolve(): void {
    this.#current?.resolve();
    this.#current = undefined;
  }

  reject(error: Error): void {
    this.#current?.reject(error);
    this.#current = undefined;
  }
}

interface PromiseWithParts {
  promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

function withParts(): PromiseWithParts {
  let parts: Omit<PromiseWithParts, "promise"> | undefined;
  const promise = new Promise<void>((resolve, reject) => {
    parts = { resolve, reject };
  });
  // Who ignores the promise must not get an "unhandled rejection": the state tells the same.
  promise.catch(() => {});
  return { promise, ...(parts as Omit<PromiseWithParts, "promise">) };
}
