/** The promise of an event's publication, which knows whether anybody looks at it: a failure that nobody hears of is told on the console. */

/** How many turns of the microtask queue an `await` takes to listen to a promise that has failed already; one more than that. */
const TURNS = 3;

export class Published<T> extends Promise<T> {
  /** Whether somebody has a handler for its outcome. */
  isHeard = false;

  /** What is derived from it is an ordinary promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // biome-ignore lint/suspicious/noThenProperty: `await` and `Promise.all` call it, so that they are noticed
  override then<A = T, B = never>(
    fulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.isHeard = true;
    return super.then(fulfilled, rejected);
  }

  /**
   * Settles as `work` does. A failure is told to `failed` at once, and to `unheard` as well where nobody listens, before `settled`
   * resolves; it is no unhandled rejection.
   */
  static of<T, E>(
    work: Promise<T>,
    failed: (error: E) => void,
    unheard: (error: E) => void,
  ): { published: Published<T>; settled: Promise<void> } {
    const published = new Published<T>((resolve, reject) => void work.then(resolve, reject));
    // Past `then` of this class: it is no listener of the caller's.
    const settled = Promise.prototype.then.call(published, undefined, async (error: E) => {
      failed(error);
      for (let turn = 0; turn < TURNS; turn++) await undefined;
      if (!published.isHeard) unheard(error);
    });
    return { published, settled: settled.then(() => undefined) };
  }
}
