/** Voice clones in training, with their progress and the milestones they reached. */
import type { CloneStatus } from "@osbackend/realtime";
import { Flag } from "lucide-react";
import { memo } from "react";
import { type CloneJob, type Milestone, useCloneJobs } from "../hooks/useCloneJobs.ts";
import { useNow } from "../hooks/useNow.ts";
import { formatAgo, formatCount } from "../lib/format.ts";
import { Badge } from "../ui/Badge.tsx";
import { Card, Empty } from "../ui/Card.tsx";
import type { Tone } from "../ui/tone.ts";

const LOOK: Record<CloneStatus, { tone: Tone; label: string; bar: string }> = {
  queued: { tone: "idle", label: "Queued", bar: "bg-idle-dot" },
  processing: { tone: "brand", label: "Training", bar: "bg-brand" },
  completed: { tone: "good", label: "Ready", bar: "bg-good-dot" },
  failed: { tone: "bad", label: "Failed", bar: "bg-bad-dot" },
};

export const CloneJobs = memo(function CloneJobs() {
  const { jobs, milestones } = useCloneJobs();
  return (
    <Card title="Voice clones">
      <div data-testid="jobs" className="flex min-h-[13.5rem] flex-col">
        {jobs.length === 0 ? (
          <Empty>No voice is being cloned right now.</Empty>
        ) : (
          <ul aria-label="Clone jobs" className="flex flex-col gap-4">
            {jobs.map((job) => (
              <Job key={job.id} job={job} />
            ))}
          </ul>
        )}
      </div>
      <Milestones milestones={milestones} />
    </Card>
  );
});

function Job({ job }: { job: CloneJob }) {
  const { tone, label, bar } = LOOK[job.status];
  return (
    <li data-job={job.id}>
      <div className="flex items-center gap-2 text-sm">
        <p className="truncate font-medium">{job.voice}</p>
        <Badge tone={tone}>{label}</Badge>
        <span className="ml-auto text-ink-2 text-xs tabular-nums">{formatCount(job.progress)}%</span>
      </div>
      <div
        role="progressbar"
        aria-label={`Progress of ${job.voice}`}
        aria-valuenow={Math.round(job.progress)}
        aria-valuemin={0}
        aria-valuemax={100}
        className="mt-1.5 h-1.5 overflow-hidden rounded-full bg-raised"
      >
        <div
          className={`h-full origin-left rounded-full transition-transform duration-500 ease-out ${bar}`}
          style={{ transform: `scaleX(${job.progress / 100})` }}
        />
      </div>
      <p className="mt-1 h-4 truncate text-ink-3 text-xs">{job.doing}</p>
    </li>
  );
}

function Milestones({ milestones }: { milestones: readonly Milestone[] }) {
  const now = useNow(1000);
  return (
    <div className="mt-4 border-line border-t pt-3.5">
      <h3 className="mb-2 font-medium text-ink-2 text-xs">Milestones</h3>
      <ol aria-label="Milestones" className="flex h-[8.25rem] flex-col gap-2 overflow-hidden">
        {milestones.map((milestone) => (
          <li
            key={milestone.eventId}
            className="flex animate-enter items-center gap-2 text-[0.8125rem] leading-5"
          >
            <Flag aria-hidden="true" size={13} className="shrink-0 text-brand" />
            <span className="min-w-0 truncate">
              {milestone.text}
              {milestone.voice && <span className="text-ink-3"> · {milestone.voice}</span>}
            </span>
            <time className="ml-auto shrink-0 text-ink-3 text-xs tabular-nums">
              {formatAgo(now - milestone.t)}
            </time>
          </li>
        ))}
        {milestones.length === 0 && <li className="text-ink-3 text-sm">The next one will be listed here.</li>}
      </ol>
    </div>
  );
}
