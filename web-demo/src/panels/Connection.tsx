/** The connection from the inside: its state, its session, what it carries. */
import { Plug, Unplug } from "lucide-react";
import { useLive } from "../hooks/useLive.ts";
import { useNow } from "../hooks/useNow.ts";
import { useRoundTrip } from "../hooks/useRoundTrip.ts";
import { formatTenth } from "../lib/format.ts";
import { statusText } from "../lib/status.ts";
import { Dot } from "../ui/Badge.tsx";
import { Button } from "../ui/Button.tsx";
import { Card } from "../ui/Card.tsx";
import { RateBars } from "../ui/RateBars.tsx";
import { Switch } from "../ui/Switch.tsx";

export interface ConnectionProps {
  rate: number;
  perSecond: readonly number[];
  /** Connects again after a disconnect. */
  connect: () => void;
  /** Whether the tabs of this browser have one connection together. */
  shared: boolean;
  share: (on: boolean) => void;
}

export function Connection({ rate, perSecond, connect, shared, share }: ConnectionProps) {
  const { service, state } = useLive();
  const closed = state.status === "closed";
  return (
    <Card title="Connection" id="connection">
      <Headline />
      <div className="mt-4">
        <div className="mb-1.5 flex items-baseline justify-between text-xs">
          <span className="text-ink-3">Events a second</span>
          <span data-testid="rate" className="font-medium tabular-nums">
            {formatTenth(rate)}
          </span>
        </div>
        <RateBars perSecond={perSecond} />
      </div>
      <Facts />
      <div className="mt-3.5 border-line border-t pt-3">
        <Switch label="One connection for all tabs" on={shared} turn={share} />
      </div>
      <div className="mt-3.5 grid">
        {closed ? (
          <Button data-testid="connect" onClick={connect}>
            <Plug aria-hidden="true" size={15} />
            Connect
          </Button>
        ) : (
          <Button data-testid="disconnect" onClick={() => service.disconnect()}>
            <Unplug aria-hidden="true" size={15} />
            Disconnect
          </Button>
        )}
      </div>
    </Card>
  );
}

function Headline() {
  const { state } = useLive();
  const now = useNow(250, state.status === "reconnecting");
  const { tone, label } = statusText(state, now);
  return (
    <div className="flex items-center gap-2.5">
      <Dot tone={tone} live={state.status === "connected"} />
      <p data-testid="connection-state" className="font-semibold text-lg tabular-nums tracking-[-0.015em]">
        {label}
      </p>
    </div>
  );
}

function Facts() {
  const { service, state } = useLive();
  const roundTrip = useRoundTrip();
  const user =
    state.status === "connected" ? `${state.userId ?? "anonymous"} · ${state.role ?? "no role"}` : "–";
  const facts = [
    { name: "Client", value: service.clientId ?? "–", id: "client-id" },
    { name: "User", value: user, id: "user" },
    {
      name: "Round trip",
      value: roundTrip === null ? "–" : `${formatTenth(roundTrip)} ms`,
      id: "round-trip",
    },
  ];
  return (
    <dl className="mt-4 grid grid-cols-[auto_1fr] gap-x-4 gap-y-1.5 text-xs">
      {facts.map(({ name, value, id }) => (
        <div key={id} className="contents">
          <dt className="text-ink-3">{name}</dt>
          <dd data-testid={id} title={value} className="truncate text-right font-mono tabular-nums">
            {value}
          </dd>
        </div>
      ))}
    </dl>
  );
}
