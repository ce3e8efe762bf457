/** Voice clone jobs and their milestones: jobs by the snapshot, earlier milestones from the room's history. */
import type { CloneStatus, History, TrainingMilestone, VoiceCloneProgress } from "@osbackend/realtime";
import { useWebSocketRoom } from "@osbackend/realtime/react";
import { useEffect, useReducer } from "react";
import { TRAINING } from "../lib/rooms.ts";
import { useLive } from "./useLive.ts";

export interface CloneJob {
  id: string;
  status: CloneStatus;
  /** Percent, 0 to 100. */
  progress: number;
  voice: string;
  doing: string;
  updated: number;
}

export interface Milestone {
  eventId: string;
  text: string;
  /** Which voice reached it. */
  voice?: string;
  t: number;
}

export interface Training {
  jobs: readonly CloneJob[];
  milestones: readonly Milestone[];
}

/** What the panel has room for. */
const KEEP_JOBS = 4;
const KEEP_MILESTONES = 5;

const ORDER: Record<CloneStatus, number> = { processing: 0, queued: 1, failed: 2, completed: 3 };

type Change = { job: CloneJob } | { milestones: readonly Milestone[] };

function reduce(training: Training, change: Change): Training {
  if ("job" in change) {
    const jobs = [...training.jobs.filter((job) => job.id !== change.job.id), change.job]
      .sort((a, b) => ORDER[a.status] - ORDER[b.status] || b.updated - a.updated)
      .slice(0, KEEP_JOBS)
      // Rows keep their places while their numbers move.
      .sort((a, b) => a.id.localeCompare(b.id, "en", { numeric: true }));
    return { ...training, jobs };
  }
  const known = new Set(training.milestones.map((milestone) => milestone.eventId));
  const milestones = [...training.milestones, ...change.milestones.filter((m) => !known.has(m.eventId))]
    .sort((a, b) => b.t - a.t)
    .slice(0, KEEP_MILESTONES);
  return { ...training, milestones };
}

/** The demo's messages are `voice: what is done`. */
function jobOf(
  { userId, jobId, status, progress, message = "" }: VoiceCloneProgress,
  timestamp: string,
): CloneJob {
  const id = jobId ?? userId;
  const colon = message.indexOf(": ");
  const [voice, doing] = colon < 0 ? [id, message] : [message.slice(0, colon), message.slice(colon + 2)];
  return { id, voice, doing, status, progress, updated: Date.parse(timestamp) };
}

function milestoneOf(
  eventId: string,
  timestamp: string,
  { milestone, details }: TrainingMilestone,
): Milestone {
  const voice = details?.voice;
  const text = inWords(milestone);
  return { eventId, text, t: Date.parse(timestamp), ...(typeof voice === "string" ? { voice } : {}) };
}

/** `first_samples` as `First samples`. */
function inWords(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function useCloneJobs(): Training {
  const { service, state } = useLive();
  const [training, change] = useReducer(reduce, { jobs: [], milestones: [] });

  useWebSocketRoom(TRAINING, (event) => {
    if (event.type === "training_milestone")
      change({ milestones: [milestoneOf(event.eventId, event.timestamp, event.data)] });
    if (event.type === "voice_clone_progress") {
      change({ job: jobOf(event.data, event.timestamp) });
    }
  });

  const connected = state.status === "connected";
  useEffect(() => {
    if (!connected) return;
    let current = true;
    service.request("history:get", { room: TRAINING, limit: 200, reverse: true }).then(
      (reply) => current && change({ milestones: milestonesOf(reply) }),
      // The room's history is extra: without it the list begins with the next milestone.
      () => {},
    );
    return () => {
      current = false;
    };
  }, [service, connected]);

  return training;
}

function milestonesOf({ events }: History): Milestone[] {
  return events
    .filter((event) => event.type === "training_milestone")
    .map((event) => milestoneOf(event.eventId, event.timestamp, event.data as TrainingMilestone));
}
