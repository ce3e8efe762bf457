/** A TCP proxy before the server, which can cut its connections, leave WebSockets hanging without a word, and accept none. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export class TcpProxy {
  readonly #to: () => number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  /** Those that carry a WebSocket. */
  readonly #upgraded = new WeakSet<readonly [Socket, Socket]>();
  readonly #server = createServer((near) => this.#joined(near));
  #refuses = false;

  /** `to` gives the server's port. */
  constructor(to: () => number) {
    this.#to = to;
  }

  async start(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  get url(): string {
    return `http://localhost:${(this.#server.address() as AddressInfo).port}/`;
  }

  /**
   * The WebSockets that are open now are open for ever, and nothing comes through. New connections are as always, and those that
   * the browser keeps for its next requests: how many of them it tries, one after the other, before it opens a new one is its own.
   */
  stall(): void {
    for (const pair of this.#pairs) {
      if (!this.#upgraded.has(pair)) continue;
      const [near, far] = pair;
      near.unpipe(far);
      far.unpipe(near);
      near.pause();
      far.pause();
    }
  }

  /** Ends what is open, and lets nobody in until `mend`. */
  cut(): void {
    this.#refuses = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  mend(): void {
    this.#refuses = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #joined(near: Socket): void {
    if (this.#refuses) {
      near.destroy();
      return;
    }
    const far = connect(this.#to(), "127.0.0.1");
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    near.on("data", (head: Buffer) => {
      if (/^upgrade: *websocket/im.test(head.toString("latin1"))) this.#upgraded.add(pair);
    });
    near.pipe(far);
    far.pipe(near);
    const end = () => {
      this.#pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) {
      socket.on("error", end);
      socket.on("close", end);
    }
  }
}
