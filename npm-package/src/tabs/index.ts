/** One socket for all tabs of a user (`shareAcrossTabs`): cores as any other, but for where their sockets lead. */
import type { Core, CoreFactory, Sink } from "../core.js";
import { browserEnvironment, type TabEnvironment } from "./environment.js";
import { Tab } from "./tab.js";

const said = new Set<string>();

function sayOnce(problem: string): void {
  if (said.has(problem)) return;
  said.add(problem);
  // biome-ignore lint/suspicious/noConsole: the page works, but not as its developer asked for
  console.warn(`[osbackend] shareAcrossTabs: ${problem}. This tab has a connection of its own.`);
}

/** Makes cores that share a connection with those of other tabs; where the browser can't, each has its own, as without this. */
export function shared(
  factory: CoreFactory,
  environment: TabEnvironment | string = browserEnvironment(),
): CoreFactory {
  if (typeof environment === "string") {
    sayOnce(environment);
    return factory;
  }
  return (options, sink) => {
    let core: Core | undefined;
    const tab = new Tab(
      options,
      environment,
      () => core?.state().status === "reconnecting" && core.wake(),
      sayOnce,
    );
    const tapped: Sink = {
      ...sink,
      state(state) {
        // Before anyone is told: who connects again at once is to find the others.
        if (state.status === "closed") tab.leave();
        sink.state(state);
      },
    };
    // A function, because an arrow can't be constructed; what it returns is what `new` gives.
    const made = factory(
      {
        ...options,
        WebSocket: function WebSocket() {
          return tab.open();
        },
      },
      tapped,
    );
    const free = made.free.bind(made);
    made.free = () => {
      core = undefined;
      tab.dispose();
      free();
    };
    core = made;
    return made;
  };
}
