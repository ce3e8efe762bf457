/** A page with every hook in it, and the markup that a server makes of it. */
import type { RealtimeClient } from "../../src/client.js";
import {
  RealtimeProvider,
  useConnectionState,
  useEvent,
  usePresence,
  useRealtimeClient,
  useRoomState,
  useWebSocket,
  useWebSocketMetrics,
  useWebSocketRoom,
} from "../../src/react/index.js";

const ROOM = "dashboard:overview";

function Everything({ token }: { token: string | undefined }) {
  const { connected, service } = useWebSocket(token);
  const { status } = useConnectionState();
  const room = useWebSocketRoom(ROOM, () => {});
  const { voice_call } = useWebSocketMetrics(["voice_call"]);
  const agents = useRoomState(ROOM, "agent_status_change");
  const one = useRoomState(ROOM, "agent_status_change", { key: "1" });
  const { users, loading } = usePresence(ROOM);
  useEvent(ROOM, "clip_played", () => {});
  useEvent("metric_update", () => {});
  const same = service === useRealtimeClient();
  return (
    <ul>
      <li>{`${connected} ${status} ${room?.status} ${same}`}</li>
      <li>{`${voice_call} ${agents.loading} ${agents.events.length} ${one.event} ${one.loading}`}</li>
      <li>{`${users.length} ${loading}`}</li>
    </ul>
  );
}

export function ServerPage({ client, token }: { client: RealtimeClient; token?: string }) {
  return (
    <RealtimeProvider client={client}>
      <Everything token={token} />
    </RealtimeProvider>
  );
}

/** What a server makes of it, with any React. */
export const MARKUP =
  "<ul><li>false idle undefined true</li><li>undefined true 0 undefined true</li><li>0 true</li></ul>";
