/** Faults on demand: the connection cut, its frames delayed, the server killed; and what was made good after each. */
import { Skull, Zap } from "lucide-react";
import { useEffect, useState } from "react";
import { LENGTH_LABELS, type Simulator } from "../hooks/useSimulator.ts";
import type { LogEntry } from "../lib/connection-log.ts";
import { delayFrames } from "../lib/faulty-socket.ts";
import { formatClock } from "../lib/format.ts";
import type { Outage } from "../lib/outages.ts";
import type { Verdict } from "../lib/verdict.ts";
import { Button } from "../ui/Button.tsx";
import { Card } from "../ui/Card.tsx";
import { Segments } from "../ui/Segments.tsx";
import { TEXT } from "../ui/tone.ts";
import { OutageReport } from "./OutageReport.tsx";

const DELAYS = [0, 250, 1500];
const DELAY_LABELS = ["no time", "250 ms", "1.5 s"];

export interface OutageSimulatorProps {
  simulator: Simulator;
  outage: Outage | undefined;
  verdict: Verdict;
}

export function OutageSimulator({ simulator, outage, verdict }: OutageSimulatorProps) {
  const { length, chooseLength, cut, kill, ready, log } = simulator;
  return (
    <Card title="Outage simulator" id="outages">
      <div className="flex flex-col gap-2.5 text-xs">
        <div className="grid grid-cols-2 gap-2">
          <Button data-testid="drop" disabled={!ready} onClick={cut}>
            <Zap aria-hidden="true" size={15} />
            Drop line
          </Button>
          <Button data-testid="kill" disabled={!ready || kill === undefined} onClick={kill}>
            <Skull aria-hidden="true" size={15} />
            Kill server
          </Button>
        </div>
        <Choice
          label="Outage lasts"
          legend="How long an outage lasts"
          options={LENGTH_LABELS}
          chosen={length}
          choose={chooseLength}
        />
        <Delay />
        <p className="text-ink-3">
          {kill === undefined ? (
            <>
              Start the demo by <code className="font-mono text-ink-2">cargo xtask demo</code> to kill the
              server from here.
            </>
          ) : (
            "The server is killed without a goodbye (SIGKILL), and started again on its file."
          )}
        </p>
      </div>
      <OutageReport outage={outage} verdict={verdict} />
      <Log log={log} />
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
    <div className="mt-4 border-line border-t pt-3.5">
      <h3 className="mb-2 font-medium text-ink-2 text-xs">What happened</h3>
      <div role="log" aria-label="What happened" data-testid="log" className="h-[7.75rem] overflow-hidden">
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
