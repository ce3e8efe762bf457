/** What the tabs need of the browser, so that tests can bring their own. */
import type { TabMessage } from "./messages.js";

/** As much of a `BroadcastChannel` as is used. */
export interface Channel {
  onmessage: ((event: { data: TabMessage }) => void) | null;
  postMessage(message: TabMessage): void;
  close(): void;
}

/** As much of `navigator.locks` as is used. */
export interface Locks {
  request(
    name: string,
    options: { signal?: AbortSignal; steal?: boolean },
    held: () => Promise<void> | undefined,
  ): Promise<unknown>;
}

/** One tab's surroundings. */
export interface TabEnvironment {
  readonly locks: Locks;
  channel(name: string): Channel;
  /** Whether somebody can see the page. */
  visible(): boolean;
  /** `away` before the page is frozen or put into the back/forward cache, `back` when it goes on. Gives back what ends it. */
  follow(away: () => void, back: () => void): () => void;
}

/** For a tab that the browser lets share with nobody: it holds what it asks for, and hears nothing. */
export function alone(environment: TabEnvironment): TabEnvironment {
  return {
    visible: () => environment.visible(),
    follow: (away, back) => environment.follow(away, back),
    locks: { request: async (_name, _options, held) => held() },
    channel: () => ({ onmessage: null, postMessage() {}, close() {} }),
  };
}

/** The browser's own, or what it lacks. */
export function browserEnvironment(): TabEnvironment | string {
  const locks = globalThis.navigator?.locks as Locks | undefined;
  if (locks === undefined)
    return "there are no Web Locks here (they need a secure context: https or localhost)";
  if (typeof globalThis.BroadcastChannel !== "function") return "there is no BroadcastChannel here";
  const page = globalThis.document as Document | undefined;
  return {
    locks,
    channel: (name) => new BroadcastChannel(name) as Channel,
    visible: () => page?.visibilityState !== "hidden",
    follow(away, back) {
      if (page === undefined) return () => {};
      const ends = (
        [
          [globalThis, "pagehide", away],
          [page, "freeze", away],
          [globalThis, "pageshow", back],
          [page, "resume", back],
        ] as [EventTarget, string, () => void][]
      ).map(([target, name, listener]) => {
        target.addEventListener(name, listener);
        return () => target.removeEventListener(name, listener);
      });
      return () => {
        for (const end of ends) end();
      };
    },
  };
}
