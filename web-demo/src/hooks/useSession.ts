/** The demo session: loading, there, or missing with what to do about it. */
import { useCallback, useEffect, useState } from "react";
import { type DevSession, nextSession } from "../lib/session.ts";

export type SessionState =
  | { status: "loading" }
  | { status: "ready"; session: DevSession }
  | { status: "missing"; message: string };

/** Shared by both mounts of StrictMode, so that one page asks once. */
let pending: Promise<DevSession> | undefined;

export function useSession(): { session: SessionState; retry: () => void } {
  const [session, setSession] = useState<SessionState>({ status: "loading" });
  const [attempt, setAttempt] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new attempt is what runs it again.
  useEffect(() => {
    let current = true;
    pending ??= nextSession();
    pending.then(
      (found) => current && setSession({ status: "ready", session: found }),
      (error: unknown) => current && setSession({ status: "missing", message: messageOf(error) }),
    );
    return () => {
      current = false;
    };
  }, [attempt]);

  const retry = useCallback(() => {
    pending = undefined;
    setSession({ status: "loading" });
    setAttempt((n) => n + 1);
  }, []);

  return { session, retry };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
