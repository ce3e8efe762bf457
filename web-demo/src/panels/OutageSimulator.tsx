/** Faults on demand: the connection cut, its frames delayed, the server killed; and what was made good after each. */
import { Skull, Zap } from "lucide-react";
import { useEffect, useState } from "react";
import { useConnectionLog } from "../hooks/useConnectionLog.ts";
import { useLive } from "../hooks/useLive.ts";
import type { LogEntry } from "../lib/connection-log.ts";
import { delayFrames, dropConnections } from "../lib/faulty-socket.ts";
import { formatClock } from "../lib/format.ts";
import { killServer } from "../lib/outage-control.ts";
import type { Outage } from "../lib/outages.ts";
import { Button } from "../ui/Button.tsx";
import { Card } from "../ui/Card.tsx";
import { Segments } from "../ui/Segments.tsx";
import { TEXT } from "../ui/tone.ts";
import { OutageReport } from "./OutageReport.tsx";

const DELAYS = [0, 250, 1500];
const DELAY_LABELS = ["no time", "250 ms", "1.5 s"];
const DOWN = [2000, 10_000, 30_000];
const DOWN_LABELS = ["2 s", "10 s", "30 s"];

export interface OutageSimulatorProps {
  outage: Outage | undefined;
  /** Where the server can be killed; undefined where it can't. */
  control: string | undefined;
  /** Another tab may have the connection. */
  shared: boolean;
}

export function OutageSimulator({ outage, control, shared }: OutageSimulatorProps) {
  const { state } = useLive();
  const { log, note } = useConnectionLog();
  const connected = state.status === "connected";
  const [down, setDown] = useState(0);

  const drop = () => {
    note({ tone: "idle", text: "You cut the connection" });
    dropConnections(shared);
  };
  const kill = async () => {
    if (control === undefined) return;
    note({ tone: "idle", text: `You had the server killed, for ${DOWN_LABELS[down]}` });
    try {
      await killServer(control, DOWN[down] ?? 0);
    } catch (error) {
      note({ tone: "bad", text: error instanceof Error ? error.message : String(error) });
    }
  };

  return (
    <Card title="Outage simulator" id="outages">
      <div className="grid grid-cols-1 gap-x-8 gap-y-5 md:grid-cols-2 xl:grid-cols-[17rem_minmax(0,1fr)_minmax(0,1fr)]">
        <div className="flex flex-col gap-2.5 text-xs md:max-xl:col-span-2">
          <div className="grid grid-cols-2 gap-2">
            <Button data-testid="drop" disabled={!connected} onClick={drop}>
              <Zap aria-hidden="true" size={15} />
              Drop line
            </Button>
            <Button data-testid="kill" disabled={!connected || control === undefined} onClick={kill}>
              <Skull aria-hidden="true" size={15} />
              Kill server
            </Button>
          </div>
          {control !== undefined && (
            <Choice
              label="Stays down for"
              legend="How long a killed server stays down"
              options={DOWN_LABELS}
              chosen={down}
              choose={setDown}
            />
          )}
          <Delay />
          <p className="text-ink-3">
            {control === undefined ? (
              <>
                Started by <code className="font-mono text-ink-2">cargo xtask demo</code>, the server can be
                killed from here.
              </>
            ) : (
              "Killed without a goodbye (SIGKILL), and started again on its file."
            )}
          </p>
        </div>
        <OutageReport outage={outage} />
        <Log log={log} />
      </div>
    </Card>
  );
}

interface ChoiceProps {
  label: string;
  legend: string;
  options: readonly string[];
  chosen: number;
  choose: (index: number) => void;
}

function Choice({ label, ...segments }: ChoiceProps) {
  return (
    <div className="flex items-center justify-between gap-2">
      <span aria-hidden="true" className="text-ink-3">
        {label}
      </span>
      <Segments {...segments} />
    </div>
  );
}

function Delay() {
  const [chosen, setChosen] = useState(0);
  useEffect(() => {
    delayFrames(DELAYS[chosen] ?? 0);
    return () => delayFrames(0);
  }, [chosen]);
  return (
    <Choice
      label="Each frame takes"
      legend="Delay of each frame"
      options={DELAY_LABELS}
      chosen={chosen}
      choose={setChosen}
    />
  );
}

function Log({ log }: { log: readonly LogEntry[] }) {
  return (
    <div className="max-md:border-line max-md:border-t max-md:pt-3.5">
      <h3 className="mb-2 font-medium text-ink-2 text-xs">What happened</h3>
      <div role="log" aria-label="What happened" data-testid="log" className="h-[11rem] overflow-hidden">
        <ol className="flex flex-col gap-1.5">
          {log.map((entry) => (
            <li key={entry.key} className="flex animate-enter items-baseline gap-2.5 text-xs leading-5">
              <time className="shrink-0 text-ink-3 tabular-nums">{formatClock(entry.t)}</time>
              <span className={`min-w-0 truncate ${TEXT[entry.tone]}`} title={entry.text}>
                {entry.text}
              </span>
            </li>
          ))}
        </ol>
      </div>
    </div>
  );
}
