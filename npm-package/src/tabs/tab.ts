/** One client's place among the tabs: gives its core sockets, and finds the group of its user for each. */
import type { CoreOptions } from "../core.js";
import { claimsOf } from "../token.js";
import { alone, type TabEnvironment } from "./environment.js";
import { Group } from "./group.js";
import type { ClientFrame } from "./messages.js";
import { groupName, userOf } from "./scope.js";
import { type SocketOwner, TabSocket } from "./socket.js";
import type { RealSocket } from "./upstream.js";

/** See above. */
export class Tab implements SocketOwner {
  readonly #options: CoreOptions;
  #environment: TabEnvironment;
  readonly #wake: () => void;
  readonly #say: (problem: string) => void;
  readonly #unfollow: () => void;
  #group: Group | undefined;
  /** Of the group; undefined for one that nobody else can find. */
  #user: string | undefined;
  /** When there was a connection last, as a date; undefined before the first. */
  #lostAt: number | undefined;

  /** `wake` ends a wait of the core, `say` tells the developer once that something isn't shared. */
  constructor(
    options: CoreOptions,
    environment: TabEnvironment,
    wake: () => void,
    say: (problem: string) => void,
  ) {
    this.#options = options;
    this.#environment = environment;
    this.#wake = wake;
    this.#say = say;
    // A frozen page that led would hold up all others.
    this.#unfollow = environment.follow(() => this.leave(), wake);
  }

  /** In place of the WebSocket class. */
  open(): TabSocket {
    return new TabSocket(globalThis.crypto.randomUUID(), this);
  }

  sent(socket: TabSocket, text: string): void {
    const frame = JSON.parse(text) as ClientFrame;
    if (frame.type === "connect") this.#enter(socket, frame);
    else if (frame.type === "auth") this.#refresh(socket, frame);
    else this.#group?.send(socket, frame);
  }

  ended(socket: TabSocket, code: number | undefined): void {
    this.#lostAt = Date.now();
    this.#group?.ended(socket, code);
  }

  /** Takes part no more, until the core opens its next socket. */
  leave(): void {
    this.#group?.leave();
    this.#group = undefined;
  }

  /** The core is gone. */
  dispose(): void {
    this.#unfollow();
    this.leave();
  }

  #enter(socket: TabSocket, connect: ClientFrame): void {
    const { token, schema } = connect.payload ?? {};
    const { shareAcrossTabs, url } = this.#options;
    const given = typeof shareAcrossTabs === "string" ? shareAcrossTabs : "";
    const user = userOf(token as string | undefined) ?? (given === "" ? undefined : "?");
    if (user === undefined)
      this.#say(
        'the token is no JWT with a `sub`, so that whose it is can\'t be told: name the user by `shareAcrossTabs: "…"`',
      );
    const name =
      user === undefined ? globalThis.crypto.randomUUID() : groupName({ url, schema, user, given });
    // One that nobody else finds serves as well for the next token.
    if (
      this.#group === undefined ||
      this.#user !== user ||
      (user !== undefined && this.#group.name !== name)
    ) {
      this.leave();
      this.#group = new Group(name, {
        environment: this.#environment,
        open: () => this.#upstream(),
        wake: this.#wake,
        refused: () => this.#refused(),
      });
    }
    this.#user = user;
    const awayMs = this.#lostAt === undefined ? 0 : Math.max(0, Date.now() - this.#lostAt);
    this.#group.enter(socket, { connect, awayMs });
  }

  /** A newer token on a live connection: the leader's goes to the server, another tab's only has to be of the same user and rights. */
  #refresh(socket: TabSocket, frame: ClientFrame): void {
    const token = frame.payload?.token as string;
    const group = this.#group;
    const same = this.#user === undefined || (userOf(token) ?? "?") === this.#user;
    if (same) {
      group?.send(socket, group.leads ? frame : { ...frame, payload: { exp: claimsOf(token).exp } });
      return;
    }
    // Another user, or one with other rights, is another group. As from a server (§3), upon which a core connects anew; the others stay as they are.
    const data = { code: "forbidden", message: "the token is another user's, or has other rights" };
    queueMicrotask(() => {
      socket.heard(
        JSON.stringify({ type: "error", id: frame.id, data, timestamp: new Date().toISOString() }),
      );
      this.#wake();
    });
  }

  #refused(): void {
    this.#say("the browser refuses Web Locks to this page");
    this.#environment = alone(this.#environment);
    this.leave();
    this.#wake();
  }

  #upstream(): RealSocket {
    const Socket = (this.#options.WebSocket ?? globalThis.WebSocket) as new (
      url: string,
      protocol: string,
    ) => RealSocket;
    return new Socket(this.#options.url, "osbackend.v1");
  }
}
