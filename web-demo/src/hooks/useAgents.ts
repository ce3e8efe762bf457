/** The newest status of each agent, by the overview's room; the snapshot fills it at once. */
import type { AgentStatusChange } from "@osbackend/realtime";
import { useWebSocketRoom } from "@osbackend/realtime/react";
import { useReducer } from "react";
import { OVERVIEW } from "../lib/rooms.ts";

export type AgentStatus = "online" | "busy" | "offline" | "error";

export interface Agent {
  id: string;
  name: string;
  status: AgentStatus;
  message?: string;
  callsHandled: number;
  currentCall?: string;
  since: number;
}

const STATUSES: readonly string[] = ["online", "busy", "offline", "error"];

function agentOf(change: AgentStatusChange, timestamp: string): Agent {
  const { name, callsHandled, currentCall } = change.details ?? {};
  return {
    id: change.agentId,
    name: typeof name === "string" ? name : `Agent ${change.agentId}`,
    status: STATUSES.includes(change.status) ? (change.status as AgentStatus) : "offline",
    callsHandled: typeof callsHandled === "number" ? callsHandled : 0,
    since: Date.parse(timestamp),
    ...(change.message ? { message: change.message } : {}),
    ...(typeof currentCall === "string" ? { currentCall } : {}),
  };
}

function withAgent(agents: readonly Agent[], agent: Agent): readonly Agent[] {
  const known = agents.find((other) => other.id === agent.id);
  // The time of the status, not of the last call counted.
  const next = known?.status === agent.status ? { ...agent, since: known.since } : agent;
  return [...agents.filter((other) => other.id !== agent.id), next].sort((a, b) =>
    a.id.localeCompare(b.id, "en", { numeric: true }),
  );
}

export function useAgents(): readonly Agent[] {
  const [agents, put] = useReducer(withAgent, []);
  useWebSocketRoom(OVERVIEW, (event) => {
    if (event.type === "agent_status_change") put(agentOf(event.data, event.timestamp));
  });
  return agents;
}
