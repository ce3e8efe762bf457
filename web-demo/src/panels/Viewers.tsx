/** Who else looks at the dashboard: a row of avatars, and a list with their connections. */
import { ExternalLink } from "lucide-react";
import { memo, useId } from "react";
import { useNow } from "../hooks/useNow.ts";
import { useViewers } from "../hooks/useViewers.ts";
import { formatSpan } from "../lib/format.ts";
import { summaryOf, type Viewer } from "../lib/viewers.ts";
import { Avatar } from "../ui/Avatar.tsx";

/** Avatars in the row; more are a number. */
const SHOWN = 4;
/** People that one can be in another tab. */
const OTHERS = ["Ada", "Grace", "Linus", "Radia"];

export const Viewers = memo(function Viewers() {
  const { presence, viewers, news, known } = useViewers();
  const id = useId();
  const summary = known ? summaryOf(presence) : "Not connected";
  return (
    <>
      <button
        type="button"
        popoverTarget={id}
        data-testid="viewers"
        className="flex h-9 shrink-0 items-center gap-2.5 rounded-full px-1.5 transition-colors hover:bg-raised"
      >
        <span className="sr-only">Looking at this dashboard: </span>
        <span aria-hidden="true" className="-space-x-1 flex min-w-7 justify-end">
          {viewers.slice(0, SHOWN).map((viewer) => (
            <Avatar key={viewer.id} {...viewer} faded={!known || viewer.clients === 0} />
          ))}
          {presence.userCount > SHOWN && (
            <span className="z-10 grid size-7 place-items-center rounded-full bg-raised font-medium text-2xs text-ink-2 ring-2 ring-page">
              +{presence.userCount - SHOWN}
            </span>
          )}
        </span>
        <span
          data-testid="viewer-count"
          className="pr-1.5 text-left text-ink-2 text-xs tabular-nums max-sm:sr-only sm:min-w-[9rem]"
        >
          {summary}
        </span>
      </button>
      <div
        id={id}
        popover="auto"
        className="fixed inset-auto top-28 right-4 m-0 max-h-[70dvh] w-72 overflow-auto rounded-2xl border border-line bg-surface p-4 text-ink shadow-[0_16px_40px_-12px_rgb(0_0_0/0.35)] sm:right-6 2xl:right-[calc(50vw-44.5rem)]"
      >
        <h2 className="font-semibold text-sm">Looking at this now</h2>
        <People viewers={viewers} />
        <h3 className="mt-4 border-line border-t pt-3 text-ink-3 text-xs">Look at it as somebody else</h3>
        <ul className="mt-2 flex flex-wrap gap-1.5">
          {OTHERS.map((name) => (
            <li key={name}>
              <a
                href={`?as=${name}`}
                target="_blank"
                rel="noopener"
                className="inline-flex h-7 items-center gap-1.5 rounded-lg border border-line-strong px-2 font-medium text-xs hover:bg-raised"
              >
                {name}
                <ExternalLink aria-hidden="true" size={12} />
                <span className="sr-only">, in a new tab</span>
              </a>
            </li>
          ))}
        </ul>
      </div>
      <p role="status" className="sr-only">
        {news}
      </p>
    </>
  );
});

function People({ viewers }: { viewers: readonly Viewer[] }) {
  const now = useNow(1000);
  return (
    <ul aria-label="People" className="mt-3 flex flex-col gap-2.5">
      {viewers.map((viewer) => (
        <li key={viewer.id} data-viewer={viewer.id} className="flex items-center gap-2.5 text-sm">
          <Avatar {...viewer} faded={viewer.clients === 0} />
          <span className="min-w-0 truncate">
            {viewer.name}
            {viewer.isMe && <span className="text-ink-3"> (you)</span>}
          </span>
          <span className="ml-auto shrink-0 text-right text-ink-3 text-xs tabular-nums">
            {connectionsOf(viewer)}, for {formatSpan(now - viewer.since)}
          </span>
        </li>
      ))}
    </ul>
  );
}

function connectionsOf({ clients }: Viewer): string {
  if (clients === 0) return "away";
  return clients === 1 ? "1 connection" : `${clients} connections`;
}
