/** What the demo is about, at the first glance: a sentence, the button that makes the outage, and what became of it. */
import { Zap } from "lucide-react";
import type { Verdict } from "../lib/verdict.ts";
import { Button } from "../ui/Button.tsx";
import { VerdictLine } from "./OutageReport.tsx";

export interface PitchProps {
  verdict: Verdict;
  /** There is a connection to cut. */
  ready: boolean;
  cut: () => void;
}

export function Pitch({ verdict, ready, cut }: PitchProps) {
  return (
    <div className="mb-3 flex flex-wrap items-center justify-between gap-x-6 gap-y-2.5 rounded-2xl border border-line bg-brand-soft px-4 py-3 sm:mb-4 sm:px-5">
      <div className="min-w-0">
        <p className="font-medium text-sm">
          This dashboard survives outages. Cut its connection and watch it catch up.
        </p>
        <div data-testid="pitch" className="mt-0.5 min-h-5">
          {verdict.id === "none" ? (
            <p className="text-[0.8125rem] text-ink-2">After an outage it gets exactly what it missed.</p>
          ) : (
            <VerdictLine verdict={verdict} />
          )}
        </div>
      </div>
      <Button kind="solid" data-testid="pitch-cut" disabled={!ready} onClick={cut}>
        <Zap aria-hidden="true" size={15} />
        Cut the connection
      </Button>
    </div>
  );
}
