/** The default service and the hooks. */
import service from "@osbackend/realtime";
import { useConnectionState, useWebSocketRoom } from "@osbackend/realtime/react";
import { createElement, Fragment, useState } from "react";
import { createRoot } from "react-dom/client";

const query = new URLSearchParams(location.search);

function Live() {
  const { status } = useConnectionState();
  const [agents, setAgents] = useState([]);
  const room = useWebSocketRoom("dashboard:overview", (event) => {
    if (event.type === "agent_status_change") setAgents((known) => [...known, event.data.agentId]);
  });
  return createElement(
    Fragment,
    null,
    createElement("output", { id: "state" }, status),
    createElement("output", { id: "room" }, room?.status),
    createElement("output", { id: "event" }, agents.join(" ")),
  );
}

createRoot(document.getElementById("root")).render(createElement(Live));
service.connect(query.get("token"), { url: query.get("url") });
