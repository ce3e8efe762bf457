/** What a client needs before it connects: the core, and the parts that only some options ask for, loaded on demand. */
import type { CoreFactory } from "./core.js";
import { isStrict } from "./strict.js";
import type * as Tabs from "./tabs/index.js";
import type { ClientOptions } from "./types.js";
import type * as Checks from "./validate/index.js";

/** What opens a connection, and what checks its events, if anything does. */
export interface Ready {
  readonly make: CoreFactory;
  readonly checks: typeof Checks | undefined;
}

/** Everything that was loaded stays; a failure is forgotten. */
export class Parts {
  readonly #load: () => Promise<CoreFactory>;
  #factory: CoreFactory | undefined;
  #tabs: typeof Tabs | undefined;
  #checks: typeof Checks | undefined;

  constructor(load: () => Promise<CoreFactory>) {
    this.#load = load;
  }

  /** What checks events, once it was asked for. */
  get checks(): typeof Checks | undefined {
    return this.#checks;
  }

  /** All that these options need, or undefined while some of it is missing. */
  ready(options: ClientOptions): Ready | undefined {
    const strict = isStrict(options);
    const shares = Boolean(options.shareAcrossTabs);
    const factory = this.#factory;
    if (factory === undefined || (strict && !this.#checks) || (shares && !this.#tabs)) return undefined;
    return {
      make: (shares && this.#tabs?.shared(factory)) || factory,
      // No event may come before what checks it.
      checks: strict ? this.#checks : undefined,
    };
  }

  /** Loads what is missing. */
  async load(options: ClientOptions): Promise<void> {
    [this.#factory, this.#tabs, this.#checks] = await Promise.all([
      this.#factory ?? this.#load(),
      options.shareAcrossTabs ? import("./tabs/index.js") : this.#tabs,
      isStrict(options) ? import("./validate/index.js") : this.#checks,
    ]);
  }
}
