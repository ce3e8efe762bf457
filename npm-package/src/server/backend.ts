/** A backend's client: publishes over the HTTP API (§9) with an API key, in batches, each event once. */
import type { EventMap } from "../events.js";
import type {
  AgentStatusChange,
  ClipPlayed,
  DomainEventMap,
  MetricUpdate,
  TrainingMilestone,
  VoiceCloneProgress,
} from "../generated/protocol.js";
import { BackendError, type BackendErrorCode, isTransient } from "./errors.js";
import { call, type Target } from "./http.js";
import { Lane, pause } from "./lane.js";
import { type BackendOptions, complete } from "./options.js";
import { Published } from "./published.js";

/** About one event. */
export interface EmitOptions {
  /** Publishing again with the same key within 5 minutes stores nothing new (§4); one of the client's own where it is left out. */
  idempotencyKey?: string | undefined;
}

/** Where a domain event went. */
export interface Emitted {
  eventId: string;
  rooms: { room: string; offset: number }[];
}

/** Where an event of any name went. */
export interface Broadcasted {
  room: string;
  offset: number;
  epoch: string;
  eventId: string;
  /** Connections in the room when it was taken. */
  recipients: number;
}

/** What goes on on the server (§9, status). */
export interface WebSocketStats {
  status: "ok" | "draining";
  version: string;
  uptimeSeconds: number;
  node: string;
  engine: string;
  totalClients: number;
  authenticatedClients: number;
  rooms: Record<string, { clientCount: number }>;
}

/** What is sent of an event, without its key. */
type Outgoing = { type: string; data: unknown; room?: string; userId?: string };

/** The data of an event by its name: the contract's, the augmented ones, and those of `Events`. */
type DataOf<Events, K> = K extends keyof EventMap
  ? EventMap[K]
  : K extends keyof Events
    ? Events[K]
    : Record<string, unknown>;

/**
 * Publishes for a backend. Every method may be taken off the object. An event that can't be published rejects its promise
 * and is told to `onError`; a promise that nobody looks at is no unhandled rejection, and told on the console.
 */
export class RealtimeBackend<Events = Record<never, never>> {
  readonly #target: Target;
  readonly #events: Lane;
  readonly #broadcasts: Lane;
  readonly #closed = new AbortController();
  readonly #retry: { forMs: number; initialMs: number; maxMs: number };
  readonly #onError: BackendOptions["onError"];
  /** Of every event that is not settled yet. */
  readonly #pending = new Set<Promise<void>>();

  /** @internal Use `createBackend`. */
  constructor(options: BackendOptions) {
    const { url, apiKey, timeoutMs, fetch, onError, ...lane } = complete(options);
    this.#target = { url, apiKey, timeoutMs, fetch };
    this.#onError = onError;
    this.#retry = { forMs: lane.retryForMs, initialMs: lane.retryInitialMs, maxMs: lane.retryMaxMs };
    this.#events = new Lane(this.#target, "api/ws/events", lane, this.#closed.signal);
    this.#broadcasts = new Lane(this.#target, "api/ws/broadcast", lane, this.#closed.signal);
  }

  /** Publishes a domain event of §4 into its rooms; those that are emitted in a row keep their order. */
  readonly emit = <K extends keyof DomainEventMap>(
    type: K,
    data: DomainEventMap[K],
    options?: EmitOptions,
  ): Promise<Emitted> => this.#publish(this.#events, { type, data }, options) as Promise<Emitted>;

  /** New values of a metric, into `dashboard:overview`; each is stored as a point of the metric's history. */
  readonly emitMetricUpdate = (
    metric: string,
    values: MetricUpdate["values"],
    options?: EmitOptions,
  ): Promise<Emitted> => this.emit("metric_update", { metric, values }, options);

  /** An agent's status, into `agent:{agentId}` and `dashboard:overview`. */
  readonly emitAgentStatusChange = (
    agentId: string,
    change: Omit<AgentStatusChange, "agentId">,
    options?: EmitOptions,
  ): Promise<Emitted> => this.emit("agent_status_change", { ...change, agentId }, options);

  /** How far a voice clone is, into `user:{userId}` and `voice:training`. */
  readonly emitVoiceCloneProgress = (
    userId: string,
    progress: Omit<VoiceCloneProgress, "userId">,
    options?: EmitOptions,
  ): Promise<Emitted> => this.emit("voice_clone_progress", { ...progress, userId }, options);

  /** Something worth telling in a training, into `voice:training` and `user:{userId}`. */
  readonly emitTrainingMilestone = (milestone: TrainingMilestone, options?: EmitOptions): Promise<Emitted> =>
    this.emit("training_milestone", milestone, options);

  /** How often a clip was played, into `clips:analytics`. */
  readonly emitClipPlayed = (
    clipId: string,
    clip: Omit<ClipPlayed, "clipId">,
    options?: EmitOptions,
  ): Promise<Emitted> => this.emit("clip_played", { ...clip, clipId }, options);

  /** An event of any name for one user, into `user:{userId}`. */
  readonly sendToUser = <K extends string>(
    userId: string,
    type: K,
    data: DataOf<Events, K>,
    options?: EmitOptions,
  ): Promise<Broadcasted> => this.#broadcast({ userId, type, data }, options);

  /** An event of any name into one room. */
  readonly broadcastToRoom = <K extends string>(
    room: string,
    type: K,
    data: DataOf<Events, K>,
    options?: EmitOptions,
  ): Promise<Broadcasted> => this.#broadcast({ room, type, data }, options);

  /** Totals and rooms of the server. */
  readonly getWebSocketStats = (): Promise<WebSocketStats> =>
    this.#retrying("api/ws/status") as Promise<WebSocketStats>;

  /** Closes every connection of a user, for good (4505); how many there were. */
  readonly disconnectUser = (userId: string): Promise<number> => this.#disconnect({ userId });

  /** Closes one client's connection, for good (4505); how many there were. */
  readonly disconnectClient = (clientId: string): Promise<number> => this.#disconnect({ clientId });

  /**
   * Resolves when everything that was emitted before is published, or has failed and was told. What is emitted later is not waited
   * for. To be awaited before a short-lived process exits, or a function is frozen.
   */
  readonly flush = async (): Promise<void> => {
    await Promise.all(this.#pending);
  };

  /** Publishes what waits, for `timeoutMs` at most, and rejects what is left and what comes later with `closed`. */
  readonly close = async ({ timeoutMs = 5_000 }: { timeoutMs?: number } = {}): Promise<void> => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.flush(), over]);
    clearTimeout(timer);
    this.#closed.abort();
    await this.flush();
  };

  #broadcast(event: Outgoing, options?: EmitOptions): Promise<Broadcasted> {
    return this.#publish(this.#broadcasts, event, options) as Promise<Broadcasted>;
  }

  #publish(lane: Lane, event: Outgoing, options?: EmitOptions): Promise<unknown> {
    const idempotencyKey = options?.idempotencyKey ?? globalThis.crypto.randomUUID();
    const work = lane.add({ ...event, idempotencyKey });
    const { published, settled } = Published.of(
      work,
      (error: BackendError) => this.#onFailure(error, event),
      (error) => this.#onUnheardFailure(error, event),
    );
    this.#pending.add(settled);
    settled.then(() => this.#pending.delete(settled));
    return published;
  }

  #onFailure(error: BackendError, event: Outgoing): void {
    try {
      this.#onError?.(error, event);
    } catch (thrown) {
      // biome-ignore lint/suspicious/noConsole: nobody else is left to tell
      console.error(thrown);
    }
  }

  /** A lost event is never silent. */
  #onUnheardFailure({ message }: BackendError, { type }: Outgoing): void {
    if (this.#onError !== undefined) return;
    // biome-ignore lint/suspicious/noConsole: where nobody listens
    console.error(`[osbackend] ${type} was not published: ${message}`);
  }

  async #disconnect(whom: { userId: string } | { clientId: string }): Promise<number> {
    const answer = await this.#retrying("api/ws/disconnect", JSON.stringify(whom));
    return (answer as { disconnected: number }).disconnected;
  }

  /** For calls that may be made twice. */
  async #retrying(path: string, body?: string): Promise<unknown> {
    const { forMs, initialMs, maxMs } = this.#retry;
    const until = Date.now() + forMs;
    for (let pauseMs = initialMs; ; pauseMs = Math.min(pauseMs * 2, maxMs)) {
      try {
        return await call(this.#target, path, body, this.#closed.signal);
      } catch (thrown) {
        const error = thrown as BackendError;
        const wait = Math.max(pauseMs / 2 + (Math.random() * pauseMs) / 2, error.retryAfterMs ?? 0);
        if (this.#closed.signal.aborted)
          throw new BackendError("closed", "the backend client was closed", { cause: error });
        if (!isTransient(error) || Date.now() + wait > until) throw error;
        await pause(wait, this.#closed.signal);
      }
    }
  }
}

export type { BackendErrorCode };

/**
 * A client for a backend, with an API key. `Events` are the data of your own events by name, for `sendToUser` and
 * `broadcastToRoom`.
 *
 * @throws {BackendError} `bad_options`: what is wrong, and what to give.
 */
export function createBackend<Events = Record<never, never>>(
  options: BackendOptions = {},
): RealtimeBackend<Events> {
  return new RealtimeBackend<Events>(options);
}
