/** What is rendered by the server, taken over by the page, and live from then on. */
"use client";
import { useConnectionState, useWebSocketRoom } from "@osbackend/realtime/react";
import { useState } from "react";

export function Live() {
  const { status } = useConnectionState();
  const [agents, setAgents] = useState(["none yet"]);
  const room = useWebSocketRoom("dashboard:overview", (event) => {
    if (event.type === "agent_status_change") setAgents((known) => [...known, event.data.agentId]);
  });
  return (
    <>
      <output id="state">{status}</output>
      <output id="room">{room?.status}</output>
      <output id="event">{agents.join(" ")}</output>
    </>
  );
}
