/** Who is on a call, who waits for one, who is away or in trouble. */
import { memo } from "react";
import { type Agent, type AgentStatus, useAgents } from "../hooks/useAgents.ts";
import { useNow } from "../hooks/useNow.ts";
import { formatCount, formatSpan } from "../lib/format.ts";
import { Badge, Dot } from "../ui/Badge.tsx";
import { Card } from "../ui/Card.tsx";
import type { Tone } from "../ui/tone.ts";

const LOOK: Record<AgentStatus, { tone: Tone; label: string; idle: string }> = {
  online: { tone: "good", label: "Available", idle: "Waiting for a call" },
  busy: { tone: "brand", label: "On a call", idle: "In a call" },
  offline: { tone: "idle", label: "Offline", idle: "Away" },
  error: { tone: "bad", label: "Error", idle: "Needs a look" },
};

/** As many places as the demo has agents, so that the board keeps its height while they arrive. */
const PLACES = ["1", "2", "3", "4", "5", "6", "7", "8"];

export const AgentBoard = memo(function AgentBoard() {
  const agents = useAgents();
  const now = useNow(1000);
  const ready = agents.filter((agent) => agent.status === "online" || agent.status === "busy").length;
  return (
    <Card
      title="Agents"
      aside={
        <p className="text-ink-3 text-xs tabular-nums">
          {agents.length > 0 && `${ready} of ${agents.length} on duty`}
        </p>
      }
    >
      <ul
        aria-label="Agents"
        data-testid="agents"
        className="grid grid-cols-1 gap-2 min-[22rem]:grid-cols-2 sm:gap-2.5 md:grid-cols-4"
      >
        {agents.map((agent) => (
          <Seat key={agent.id} agent={agent} now={now} />
        ))}
        {agents.length === 0 &&
          PLACES.map((place) => (
            <li key={place} aria-hidden="true" className="h-[5.25rem] rounded-xl bg-raised" />
          ))}
      </ul>
      {agents.length === 0 && <p className="sr-only">No agent has reported yet.</p>}
    </Card>
  );
});

function Seat({ agent, now }: { agent: Agent; now: number }) {
  const { tone, label, idle } = LOOK[agent.status];
  const doing = agent.currentCall ?? agent.message ?? idle;
  return (
    <li
      data-agent={agent.id}
      data-status={agent.status}
      className="flex h-[5.25rem] min-w-0 flex-col justify-between rounded-xl border border-line px-2.5 py-2.5 sm:px-3"
    >
      <div className="flex min-w-0 items-center gap-2">
        <Dot tone={tone} />
        <p className="truncate font-medium text-sm">{agent.name}</p>
        <span className="ml-auto">
          <Badge tone={tone}>{label}</Badge>
        </span>
      </div>
      <div className="text-ink-3 text-xs tabular-nums">
        <p className="h-4 truncate" title={doing}>
          {doing}
        </p>
        <p className="flex justify-between gap-2">
          <span>{formatCount(agent.callsHandled)} calls</span>
          <span title="In this state since">{formatSpan(now - agent.since)}</span>
        </p>
      </div>
    </li>
  );
}
