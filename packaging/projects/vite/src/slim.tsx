/** The entry `./slim` with Vite's own way to the file's address, and the hooks on that client. */
import wasm from "@osbackend/realtime/client.wasm?url";
import { RealtimeProvider, useWebSocket, useWebSocketRoom } from "@osbackend/realtime/react";
import { createClient } from "@osbackend/realtime/slim";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { query } from "./show";

const client = createClient({ wasm, url: query.get("url") ?? "" });

function Live() {
  const { state } = useWebSocket(query.get("token"));
  const [agents, setAgents] = useState<string[]>([]);
  const room = useWebSocketRoom("dashboard:overview", (event) => {
    if (event.type === "agent_status_change") setAgents((known) => [...known, event.data.agentId]);
  });
  return (
    <>
      <output id="state">{state.status}</output>
      <output id="room">{room?.status}</output>
      <output id="event">{agents.join(" ")}</output>
    </>
  );
}

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <RealtimeProvider client={client}>
      <Live />
    </RealtimeProvider>
  </StrictMode>,
);
