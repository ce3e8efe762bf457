/** The faults that a visitor makes: for how long, which one is under way, and the log of what followed. */
import { useCallback, useEffect, useState } from "react";
import type { LogEntry } from "../lib/connection-log.ts";
import { cutConnections } from "../lib/faulty-socket.ts";
import { killServer } from "../lib/outage-control.ts";
import type { Cause, Outage } from "../lib/outages.ts";
import { useConnectionLog } from "./useConnectionLog.ts";
import { useLive } from "./useLive.ts";

/** How long an outage may last, in milliseconds, and as the page says it. */
export const LENGTHS = [2000, 10_000, 30_000] as const;
export const LENGTH_LABELS = ["2 s", "10 s", "30 s"] as const;

export interface Simulator {
  /** Index of the chosen length, for either fault. */
  length: number;
  chooseLength: (index: number) => void;
  /** Cuts the connection for the chosen time. */
  cut: () => void;
  /** Has the server killed for the chosen time; undefined where it can't be. */
  kill: (() => void) | undefined;
  /** Both need a connection that lives. */
  ready: boolean;
  /** The fault that the visitor made last, while the connection is away because of it. */
  cause: Cause | undefined;
  log: readonly LogEntry[];
}

export interface SimulatorOptions {
  outage: Outage | undefined;
  /** Where the server can be killed; undefined where it can't. */
  control: string | undefined;
  /** Another tab may have the connection. */
  shared: boolean;
}

export function useSimulator({ outage, control, shared }: SimulatorOptions): Simulator {
  const { state } = useLive();
  const { log, note } = useConnectionLog();
  const [length, chooseLength] = useState(0);
  const [cause, setCause] = useState<Cause>();
  const over = outage?.backAt !== undefined;
  useEffect(() => {
    if (over) setCause(undefined);
  }, [over]);

  const ms = LENGTHS[length] ?? LENGTHS[0];
  const label = LENGTH_LABELS[length] ?? LENGTH_LABELS[0];
  const cut = useCallback(() => {
    note({ tone: "idle", text: `You cut the connection, for ${label}` });
    setCause("cut");
    cutConnections(ms, shared);
  }, [note, ms, label, shared]);
  const kill = useCallback(async () => {
    if (control === undefined) return;
    note({ tone: "idle", text: `You had the server killed, for ${label}` });
    setCause("killed");
    try {
      await killServer(control, ms);
      setTimeout(() => setCause((now) => (now === "killed" ? "restarting" : now)), ms);
    } catch (error) {
      setCause(undefined);
      note({ tone: "bad", text: error instanceof Error ? error.message : String(error) });
    }
  }, [note, control, ms, label]);

  return {
    length,
    chooseLength,
    cut,
    kill: control === undefined ? undefined : kill,
    ready: state.status === "connected",
    cause,
    log,
  };
}
