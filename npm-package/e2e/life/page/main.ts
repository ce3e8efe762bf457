/** A page with one client, which notes what happens to it, in order. */
import { createClient } from "@osbackend/realtime";

const settings = new URLSearchParams(location.search);

/** What happened: sockets, what was written to them, questions for a token, states, signs of life. */
const log: string[] = [];
const real = globalThis.WebSocket;
globalThis.WebSocket = class extends real {
  constructor(...given: ConstructorParameters<typeof WebSocket>) {
    super(...given);
    log.push("socket");
  }
  override send(data: string) {
    log.push(`write ${(JSON.parse(data) as { type: string }).type}`);
    super.send(data);
  }
};
addEventListener("pagehide", ({ persisted }) => log.push(`pagehide ${persisted}`));
addEventListener("pageshow", ({ persisted }) => log.push(`pageshow ${persisted}`));
for (const name of ["online", "offline"]) addEventListener(name, () => log.push(name));
for (const name of ["freeze", "resume"]) document.addEventListener(name, () => log.push(name));
document.addEventListener("visibilitychange", () => log.push(document.visibilityState));

const client = createClient({
  // A wait is far longer than a test may take: who connects before it has not waited.
  backoff: { initialMs: Number(settings.get("wait") ?? 600_000), maxMs: 600_000, jitter: 0, attempts: 5 },
  connectTimeoutMs: 10_000,
});
client.on("state", (state) =>
  log.push("reason" in state ? `${state.status}: ${state.reason}` : state.status),
);
client.on("error", (error) => log.push(`error ${error.code}: ${error.message}`));

const life = {
  client,
  log,
  /** The numbers that came, in order. */
  seen: [] as number[],
  /** `recovered` of each time that the room was joined. */
  recovered: [] as unknown[],
  join(room: string) {
    const handle = client.joinRoom(room);
    handle.on("room", (state) => state.status === "joined" && life.recovered.push(state.recovered));
    handle.on("tick", (data: Record<string, unknown>) => life.seen.push(data.n as number));
  },
};

declare global {
  interface Window {
    life: typeof life;
    /** Given by tests that have tokens of their own. */
    askToken?: () => Promise<string>;
  }
}
window.life = life;

client.connect(async () => {
  log.push("ask");
  if (window.askToken !== undefined) return window.askToken();
  return ((await (await fetch("/dev/session")).json()) as { token: string }).token;
});
