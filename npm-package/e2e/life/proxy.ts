/** A TCP proxy before the server, which can cut its connections, leave them hanging without a word, and accept none. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export class TcpProxy {
  readonly #to: () => number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
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

  /** What is open now is open for ever, and nothing comes through. New connections are as always. */
  stall(): void {
    for (const [near, far] of this.#pairs) {
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
