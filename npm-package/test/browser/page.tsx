/** A React page in Chromium: what it renders and when, what its sockets send, what the server says of it. */
import { Profiler, type ReactNode, StrictMode } from "react";
import { flushSync } from "react-dom";
import { createRoot, hydrateRoot } from "react-dom/client";
import { expect, inject, onTestFinished } from "vitest";
import type { RealtimeClient } from "../../src/client.js";
import { createClient } from "../../src/index.js";
import { RealtimeProvider } from "../../src/react/index.js";
import type { ClientOptions } from "../../src/types.js";

export const server = inject("server");

/** A room of this test alone. */
export function freshRoom(): string {
  return `agent:${crypto.randomUUID()}`;
}

interface Frame {
  type: string;
  payload?: { room?: string; rooms?: { room: string }[] };
}

/** Sockets that are counted, with every frame that was sent. */
export class Sockets {
  readonly all: WebSocket[] = [];
  readonly sent: Frame[] = [];
  readonly WebSocket: typeof WebSocket;

  constructor() {
    const { all, sent } = this;
    this.WebSocket = class extends WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(url, protocols);
        all.push(this);
      }
      override send(data: string): void {
        sent.push(...([JSON.parse(data)] as (Frame | Frame[])[]).flat());
        super.send(data);
      }
    };
  }

  /** How often the room was joined: by a message of its own, or with the connection. */
  joins(room: string): number {
    return this.sent.filter(
      ({ type, payload }) =>
        (type === "join" && payload?.room === room) ||
        (type === "connect" && payload?.rooms?.some((other) => other.room === room)),
    ).length;
  }

  leaves(room: string): number {
    return this.sent.filter(({ type, payload }) => type === "leave" && payload?.room === room).length;
  }

  get open(): number {
    return this.all.filter((socket) => socket.readyState === WebSocket.OPEN).length;
  }
}

/** A client of its own over counted sockets; closed after the test. */
export function countedClient(options: ClientOptions = {}): { client: RealtimeClient; sockets: Sockets } {
  const sockets = new Sockets();
  const client = createClient({
    url: server.ws,
    WebSocket: sockets.WebSocket,
    backoff: { initialMs: 1, attempts: 0 },
    ...options,
  });
  onTestFinished(() => client.disconnect());
  return { client, sockets };
}

/** One commit of a profiled part of the page, and the frame in which it was. */
export interface Commit {
  id: string;
  frame: number;
}

/** A mounted page. */
export class Page {
  readonly element = document.createElement("div");
  readonly commits: Commit[] = [];
  #frame = 0;
  #root: ReturnType<typeof createRoot> | undefined;
  #ticking: number;

  constructor() {
    document.body.append(this.element);
    const tick = () => {
      // Asked for in the frame before, so this is the first thing in each.
      this.#frame += 1;
      this.#ticking = requestAnimationFrame(tick);
    };
    this.#ticking = requestAnimationFrame(tick);
    onTestFinished(() => {
      cancelAnimationFrame(this.#ticking);
      this.unmount();
      this.element.remove();
    });
  }

  get text(): string {
    return this.element.textContent ?? "";
  }

  render(children: ReactNode): void {
    this.#root ??= createRoot(this.element);
    this.#root.render(children);
  }

  /** Rendered, committed and its effects run when this returns: no time passes between two of these. */
  renderNow(children: ReactNode): void {
    flushSync(() => this.render(children));
  }

  /** Takes over markup that a server made; gives what React has to say against it. */
  hydrate(markup: string, children: ReactNode): string[] {
    const complaints: string[] = [];
    this.element.innerHTML = markup;
    this.#root = hydrateRoot(this.element, children, {
      onRecoverableError: (error) => complaints.push(String(error)),
    });
    return complaints;
  }

  unmount(): void {
    this.#root?.unmount();
    this.#root = undefined;
  }

  /** The part of the page whose commits are noted under this id. */
  readonly profiled = (id: string, children: ReactNode): ReactNode => (
    <Profiler id={id} onRender={() => this.commits.push({ id, frame: this.#frame })}>
      {children}
    </Profiler>
  );

  count(id: string): number {
    return this.commits.filter((commit) => commit.id === id).length;
  }

  /** The most commits of one part in one frame. */
  most(id: string): number {
    const frames = new Map<number, number>();
    for (const commit of this.commits.filter((other) => other.id === id)) {
      frames.set(commit.frame, (frames.get(commit.frame) ?? 0) + 1);
    }
    return Math.max(0, ...frames.values());
  }
}

/** As applications have it: everything below StrictMode, with this client. */
export function strict(client: RealtimeClient, children: ReactNode): ReactNode {
  return (
    <StrictMode>
      <RealtimeProvider client={client}>{children}</RealtimeProvider>
    </StrictMode>
  );
}

/** Resolves when `read` gives `value`. */
export function becomes<T>(read: () => T | Promise<T>, value: T): Promise<void> {
  return expect.poll(read, { timeout: 30_000, interval: 20 }).toEqual(value);
}

async function call(path: string, body?: object): Promise<unknown> {
  const answer = await fetch(`${server.http}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${server.adminToken}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Publishes one event of any type into a room. */
export async function publish(room: string, type: string, data: object): Promise<void> {
  await call("/api/ws/broadcast", { room, type, data });
}

/** Publishes typed events, all at once, into the rooms that are theirs. */
export async function publishAll(events: { type: string; data: object }[]): Promise<void> {
  await call("/api/ws/events", events);
}

/** How many connections the server counts in the room. */
export async function members(room: string): Promise<number> {
  const { rooms } = (await call("/api/ws/status")) as { rooms: Record<string, { clientCount: number }> };
  return rooms[room]?.clientCount ?? 0;
}

/** How many connections the server counts at all. */
export async function connections(): Promise<number> {
  return ((await call("/api/ws/status")) as { totalClients: number }).totalClients;
}
