/** The page's head: the product, the connection at a glance, the theme. */
import type { ConnectionState } from "@osbackend/realtime";
import { useLive } from "../hooks/useLive.ts";
import { useNow } from "../hooks/useNow.ts";
import { formatTenth } from "../lib/format.ts";
import { statusText } from "../lib/status.ts";
import { Dot } from "../ui/Badge.tsx";
import { ThemeToggle } from "../ui/ThemeToggle.tsx";
import { BADGE } from "../ui/tone.ts";
import { Devtools } from "./Devtools.tsx";

export function Header({ rate }: { rate: number }) {
  return (
    <header className="sticky top-0 z-20 border-line border-b bg-page/85 backdrop-blur-md">
      <div className="mx-auto flex h-14 max-w-[92rem] items-center gap-3 px-4 sm:px-6">
        <Mark />
        <p className="min-w-0 truncate text-sm">
          <span className="font-semibold tracking-[-0.01em]">osbackend</span>{" "}
          <span className="text-ink-3">realtime</span>
        </p>
        <div className="grow" />
        <StatusPill rate={rate} />
        <Devtools />
        <ThemeToggle />
      </div>
      <RetryLine />
    </header>
  );
}

function Mark() {
  return (
    <svg aria-hidden="true" viewBox="0 0 32 32" className="size-7 shrink-0">
      <rect width="32" height="32" rx="8" fill="var(--brand-solid)" />
      <path
        d="M5.5 17h4.2l2.6-7.5 4.6 14 3.4-10.5 1.7 4h4.5"
        fill="none"
        stroke="#fff"
        strokeWidth="2.6"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}

const SPOKEN: Record<ConnectionState["status"], string> = {
  idle: "",
  connecting: "Connecting",
  connected: "Connected",
  reconnecting: "Connection lost, reconnecting",
  closed: "Disconnected",
};

/** Leads to the connection's panel, which is far down on a phone. */
function StatusPill({ rate }: { rate: number }) {
  const { state } = useLive();
  const now = useNow(250, state.status === "reconnecting");
  const { tone, label, short = label } = statusText(state, now);
  const live = state.status === "connected";
  return (
    <a
      href="#connection"
      data-testid="status"
      data-status={state.status}
      className={`flex h-8 shrink-0 items-center gap-2 whitespace-nowrap rounded-full px-3 font-medium text-xs tabular-nums transition-colors duration-300 ${BADGE[tone]}`}
    >
      <Dot tone={tone} live={live} />
      <span className="max-sm:hidden">{label}</span>
      <span className="sm:hidden">{short}</span>
      {/* Apart from the countdown, which would be read out each second. */}
      <span role="status" className="sr-only">
        {SPOKEN[state.status]}
      </span>
      {live && (
        <span className="hidden min-w-[4rem] border-current/20 border-l pl-2 font-normal sm:inline">
          {formatTenth(rate)} ev/s
        </span>
      )}
    </a>
  );
}

/** A line that runs while the connection is being restored; it takes no room of its own. */
function RetryLine() {
  const { state } = useLive();
  const waiting = state.status === "reconnecting" || state.status === "connecting";
  return (
    <div aria-hidden="true" className="absolute inset-x-0 bottom-[-2px] h-0.5 overflow-hidden">
      {waiting && <div className="h-full w-1/4 animate-slide rounded-full bg-warn-dot" />}
    </div>
  );
}
