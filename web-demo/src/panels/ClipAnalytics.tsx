/** How often each clip was played, as bars. */
import { MapPin } from "lucide-react";
import { lazy, memo, Suspense } from "react";
import { useClips } from "../hooks/useClips.ts";
import { ROW_PX } from "../lib/clips.ts";
import { formatCount } from "../lib/format.ts";
import { Card, Empty } from "../ui/Card.tsx";

/** Room for as many clips is kept from the start. */
const FEWEST = 6;

/** Apart, as the chart library is most of the page's code. */
const ClipBars = lazy(() => import("./ClipBars.tsx"));

export const ClipAnalytics = memo(function ClipAnalytics() {
  const { clips, last } = useClips();
  const total = clips.reduce((sum, clip) => sum + clip.plays, 0);
  return (
    <Card
      title="Clip plays"
      aside={
        <p data-testid="plays" className="text-ink-3 text-xs tabular-nums">
          {clips.length > 0 && `${formatCount(total)} in total`}
        </p>
      }
    >
      <div className="flex grow flex-col" style={{ minHeight: ROW_PX * FEWEST }}>
        {clips.length === 0 ? (
          <Empty>No clip was played yet.</Empty>
        ) : (
          <Suspense>
            <ClipBars clips={clips} />
          </Suspense>
        )}
      </div>
      <p className="mt-3 flex h-5 items-center gap-1.5 border-line text-ink-2 text-xs">
        {last && (
          <span key={last.plays} className="flex min-w-0 animate-enter items-center gap-1.5">
            <MapPin aria-hidden="true" size={13} className="shrink-0 text-ink-3" />
            <span className="truncate">
              {last.id} was just played{last.location && ` in ${last.location}`}
            </span>
          </span>
        )}
      </p>
    </Card>
  );
});
