/** A message of an administrator, over the page so that nothing moves when it comes. */
import { CircleCheck, Info, TriangleAlert, X } from "lucide-react";
import { memo, useEffect, useState } from "react";
import { type Level, useBroadcast } from "../hooks/useBroadcast.ts";
import { formatClock } from "../lib/format.ts";
import { IconButton } from "../ui/Button.tsx";
import { BADGE, type Tone } from "../ui/tone.ts";

const LOOK: Record<Level, { tone: Tone; Icon: typeof Info; title: string }> = {
  info: { tone: "brand", Icon: Info, title: "Announcement" },
  success: { tone: "good", Icon: CircleCheck, title: "Good news" },
  warning: { tone: "warn", Icon: TriangleAlert, title: "Warning" },
};

/** How long a message stays that needs no attention; pointing at it keeps it. */
const SHOWN_MS = 12_000;

export const BroadcastBanner = memo(function BroadcastBanner() {
  const { broadcast, dismiss } = useBroadcast();
  const [held, setHeld] = useState(false);
  const hold = () => setHeld(true);
  const release = () => setHeld(false);
  const close = () => {
    // Neither pointer nor focus leaves what is taken away under it.
    release();
    dismiss();
  };

  useEffect(() => {
    // A warning stays until it is dismissed.
    if (!broadcast || held || broadcast.level === "warning") return;
    const timer = setTimeout(dismiss, SHOWN_MS);
    return () => clearTimeout(timer);
  }, [broadcast, held, dismiss]);

  const banner = broadcast && (
    <div
      key={broadcast.eventId}
      onPointerEnter={hold}
      onPointerLeave={release}
      data-testid="banner"
      data-level={broadcast.level}
      className="pointer-events-auto flex w-full max-w-2xl animate-enter items-center gap-3 rounded-xl border border-line bg-surface py-2 pr-2 pl-3 shadow-[0_12px_32px_-8px_rgb(0_0_0/0.28)]"
    >
      <Message {...broadcast} />
      <IconButton onClick={close} onFocus={hold} onBlur={release} aria-label="Dismiss the announcement">
        <X aria-hidden="true" size={17} strokeWidth={1.75} />
      </IconButton>
    </div>
  );
  const interrupts = broadcast?.level === "warning";
  return (
    <div className="pointer-events-none fixed inset-x-0 top-16 z-30 flex justify-center px-4 sm:px-6">
      {/* Both are there before a message is: only then it is read out, and only a warning interrupts. */}
      <div role="status" className="contents">
        {!interrupts && banner}
      </div>
      <div role="alert" className="contents">
        {interrupts && banner}
      </div>
    </div>
  );
});

function Message({ level, message, t }: { level: Level; message: string; t: number }) {
  const { tone, Icon, title } = LOOK[level];
  return (
    <>
      <span className={`grid size-8 shrink-0 place-items-center rounded-lg ${BADGE[tone]}`}>
        <Icon aria-hidden="true" size={17} strokeWidth={2} />
      </span>
      <div className="min-w-0 grow">
        <p className="text-ink-3 text-xs tabular-nums">
          {title} · {formatClock(t)}
        </p>
        <p className="text-sm [overflow-wrap:anywhere]">{message}</p>
      </div>
    </>
  );
}
