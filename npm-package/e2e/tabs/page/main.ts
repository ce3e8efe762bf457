/** A page with one shared client, which notes what it is told. */
import { createClient, type RoomHandle } from "@osbackend/realtime";

const real = globalThis.WebSocket;
const sockets: WebSocket[] = [];
/** Which tab has the connection is seen by who opened a real socket. */
globalThis.WebSocket = class extends real {
  constructor(...given: ConstructorParameters<typeof WebSocket>) {
    super(...given);
    sockets.push(this);
  }
};

const client = createClient({
  shareAcrossTabs: true,
  backoff: { initialMs: 100, maxMs: 1000, attempts: 0 },
  connectTimeoutMs: 5_000,
});
const handles = new Map<string, RoomHandle>();

const tab = {
  client,
  /** The numbers that came, by room. */
  seen: {} as Record<string, number[]>,
  /** The agents that the snapshots and events told of, by room. */
  agents: {} as Record<string, string[]>,
  /** `recovered` of each time that a room was joined. */
  recovered: [] as unknown[],
  /** Real sockets of this tab that are open or opening. */
  open: () => sockets.filter(({ readyState }) => readyState <= real.OPEN).length,
  join(room: string) {
    const handle = client.joinRoom(room);
    handles.set(room, handle);
    const numbers: number[] = [];
    const agents: string[] = [];
    tab.seen[room] = numbers;
    tab.agents[room] = agents;
    handle.on("room", (state) => state.status === "joined" && tab.recovered.push(state.recovered));
    handle.on("tick", (data: Record<string, unknown>) => numbers.push(data.n as number));
    handle.on("agent_status_change", (data, meta) =>
      agents.push(`${data.status}${meta.snapshot ? " (snapshot)" : ""}`),
    );
  },
  leave: (room: string) => handles.get(room)?.leave(),
};

declare global {
  interface Window {
    tab: typeof tab;
  }
}
window.tab = tab;

const token = async () =>
  ((await (await fetch("/dev/session")).json()) as Record<string, string>)[
    location.search === "?admin" ? "adminToken" : "token"
  ];
client.connect(token);
