/** A browser with tabs, for tests in Node: locks and channels as tabs have them, and tabs that can be killed. */

import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { RealtimeClient } from "../../src/client.js";
import type { Channel, Locks, TabEnvironment } from "../../src/tabs/environment.js";
import { shared } from "../../src/tabs/index.js";
import type { TabMessage } from "../../src/tabs/messages.js";
import type { ClientOptions } from "../../src/types.js";
import { loadCore } from "../../src/wasm-loader.js";
import { besideScript } from "../../src/wasm-sources/beside-script.js";

interface Claim {
  tab: object;
  held(): Promise<void> | undefined;
  resolve(): void;
  reject(error: Error): void;
}

/** What all tabs of a browser see of `navigator.locks`. */
export class LockTable {
  readonly #queues = new Map<string, Claim[]>();

  of(tab: object): Locks {
    return {
      request: (name, { signal, steal }, held) =>
        new Promise<void>((resolve, reject) => {
          const queue = this.#queues.get(name) ?? [];
          this.#queues.set(name, queue);
          const claim: Claim = { tab, held, resolve, reject };
          signal?.addEventListener("abort", () => {
            // As the browser does: only what isn't granted yet.
            if (queue[0] === claim || !queue.includes(claim)) return;
            queue.splice(queue.indexOf(claim), 1);
            reject(new DOMException("given up", "AbortError"));
          });
          if (steal) {
            queue.shift()?.reject(new DOMException("given up", "AbortError"));
            queue.unshift(claim);
          } else {
            queue.push(claim);
          }
          if (queue[0] === claim) setImmediate(() => this.#grant(queue, claim));
        }),
    };
  }

  /** As when the tab's process ends. */
  drop(tab: object): void {
    for (const queue of this.#queues.values()) {
      const [holder] = queue;
      queue.splice(0, queue.length, ...queue.filter((claim) => claim.tab !== tab));
      const [next] = queue;
      if (next !== undefined && next !== holder) setImmediate(() => this.#grant(queue, next));
    }
  }

  #grant(queue: Claim[], claim: Claim): void {
    if (queue[0] !== claim) return;
    Promise.resolve(claim.held()).then(() => {
      claim.resolve();
      if (queue[0] !== claim) return;
      queue.shift();
      const [next] = queue;
      if (next !== undefined) setImmediate(() => this.#grant(queue, next));
    });
  }
}

/** One tab with a client. */
export class Tab {
  readonly client: RealtimeClient;
  isVisible = true;
  /** What went over the channel from here. */
  readonly said: TabMessage[] = [];
  readonly #locks: LockTable;
  readonly #channels: BroadcastChannel[] = [];
  readonly #sockets: WebSocket[] = [];
  #page = { away: () => {}, back: () => {} };
  #dead = false;
  #hangs = false;

  constructor(locks: LockTable, options: ClientOptions) {
    this.#locks = locks;
    const tab = this;
    class Socket extends WebSocket {
      constructor(url: string, protocol: string) {
        super(tab.#dead ? "ws://127.0.0.1:1" : url, protocol);
        tab.#sockets.push(this);
      }
    }
    const load = async () => shared(await loadCore(besideScript), this.#environment());
    this.client = new RealtimeClient(
      { WebSocket: Socket, backoff: { initialMs: 1, maxMs: 5, attempts: 0 }, ...options },
      load,
    );
  }

  /** How many sockets to the server it has opened. */
  get opened(): number {
    return this.#sockets.length;
  }

  /** As a crash: no goodbye to anyone. */
  kill(): void {
    this.#dead = true;
    for (const channel of this.#channels) channel.close();
    for (const socket of this.#sockets) socket.terminate();
    this.#locks.drop(this);
  }

  /** It doesn't answer any more, but keeps what it has. */
  hang(): void {
    this.#hangs = true;
  }

  /** As the browser freezes it, or puts it into the back/forward cache. */
  freeze(): void {
    this.#page.away();
  }

  thaw(): void {
    this.#page.back();
  }

  #environment(): TabEnvironment {
    return {
      locks: this.#locks.of(this),
      channel: (name) => this.#channel(name),
      visible: () => this.isVisible,
      follow: (away, back) => {
        this.#page = { away, back };
        return () => {};
      },
    };
  }

  #channel(name: string): Channel {
    const real = new BroadcastChannel(name);
    this.#channels.push(real);
    const channel: Channel = {
      onmessage: null,
      postMessage: (message) => {
        this.said.push(message);
        if (!this.#dead) real.postMessage(message);
      },
      close: () => real.close(),
    };
    real.onmessage = (event) => {
      if (!this.#dead && !this.#hangs)
        channel.onmessage?.({ data: (event as MessageEvent).data as TabMessage });
    };
    return channel;
  }
}

/** A browser, whose tabs go with the test. */
export class Browser {
  readonly #locks = new LockTable();

  tab(options: ClientOptions): Tab {
    const tab = new Tab(this.#locks, options);
    onTestFinished(() => {
      tab.client.disconnect();
      tab.kill();
    });
    return tab;
  }
}

/** A token of this user, as far as this side looks at one. */
export function tokenOf(sub: string, exp = 4_000_000_000, rights: object = {}): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part({ sub, exp, ...rights })}.sig`;
}
