/** The live page: connects, and puts the panels in their places. */
import type { RealtimeEvent } from "@osbackend/realtime";
import { useCallback, useEffect, useRef, useState } from "react";
import { useActivity } from "../hooks/useActivity.ts";
import { useCharts } from "../hooks/useCharts.ts";
import { useConnect } from "../hooks/useConnect.ts";
import { useOutages } from "../hooks/useOutages.ts";
import { useRooms } from "../hooks/useRooms.ts";
import { useSharing } from "../hooks/useSharing.ts";
import { useSimulator } from "../hooks/useSimulator.ts";
import { type MetricView, VIEWS } from "../lib/metrics.ts";
import { LIVE } from "../lib/ranges.ts";
import type { DevSession } from "../lib/session.ts";
import { verdictOf } from "../lib/verdict.ts";
import { AgentBoard } from "./AgentBoard.tsx";
import { BroadcastBanner } from "./BroadcastBanner.tsx";
import { BroadcastForm } from "./BroadcastForm.tsx";
import { ClipAnalytics } from "./ClipAnalytics.tsx";
import { CloneJobs } from "./CloneJobs.tsx";
import { Connection } from "./Connection.tsx";
import { Header } from "./Header.tsx";
import { MetricTiles } from "./MetricTiles.tsx";
import { OutageSimulator } from "./OutageSimulator.tsx";
import { Pitch } from "./Pitch.tsx";
import { RoomList } from "./RoomList.tsx";
import { TrendChart } from "./TrendChart.tsx";
import { Viewers } from "./Viewers.tsx";

export function Dashboard({ session }: { session: DevSession | null }) {
  const { shared, share } = useSharing();
  const { service, state } = useConnect(session, shared);
  const rooms = useRooms();
  const { activity, meter } = useActivity();
  const { outage, log } = useOutages();
  const listen = useCallback(
    (room: string, event: RealtimeEvent) => {
      meter.record(room, event);
      if (!event.snapshot && event.offset !== undefined) log.event(room, event.offset, event.skipped ?? 0);
    },
    [meter, log],
  );
  const forget = useCallback(
    (room: string) => {
      meter.forget(room);
      log.forget(room);
    },
    [meter, log],
  );
  // Another connection begins with positions of its own: that is no loss.
  const sharedBefore = useRef(shared);
  useEffect(() => {
    if (sharedBefore.current === shared) return;
    sharedBefore.current = shared;
    for (const { room } of service.getSnapshot().rooms) forget(room);
  }, [service, shared, forget]);
  const connect = useCallback(() => {
    // The panel shows the outcome by the connection's state.
    service.connect().catch(() => {});
  }, [service]);
  const simulator = useSimulator({ outage, control: session?.outageControl, shared });
  const verdict = verdictOf(outage, simulator.cause);
  const stale = state.status === "reconnecting" || state.status === "closed";

  return (
    <>
      <Header rate={activity.rate} />
      <BroadcastBanner />
      <main className="mx-auto max-w-[92rem] px-4 pt-5 pb-10 sm:px-6 sm:pt-6">
        <div className="mb-4 flex items-center justify-between gap-4 sm:mb-5">
          <div className="min-w-0">
            <h1 className="font-semibold text-[1.375rem] leading-7 tracking-[-0.022em]">Voice operations</h1>
            <p className="text-ink-3 text-sm">Calls, agents, voice clones and clips, as they happen.</p>
          </div>
          <Viewers />
        </div>
        <Pitch verdict={verdict} ready={simulator.ready} cut={simulator.cut} />
        {/* One column on a phone, where the simulator follows the numbers: the wrappers of the two columns are not there. */}
        <div className="flex flex-col gap-3 sm:gap-4 lg:grid lg:grid-cols-[minmax(0,1fr)_22rem] lg:items-start">
          <div
            data-stale={stale}
            className="contents min-w-0 grid-cols-1 gap-3 *:min-w-0 *:transition-[filter] *:duration-500 sm:gap-4 lg:grid data-[stale=true]:*:saturate-[0.15]"
          >
            <Overview />
            <div className="max-lg:order-3">
              <AgentBoard />
            </div>
            <div className="grid grid-cols-1 gap-3 max-lg:order-3 sm:gap-4 md:max-lg:grid-cols-2 xl:grid-cols-2">
              <CloneJobs />
              <ClipAnalytics />
            </div>
            {session?.adminToken && (
              <div className="max-lg:order-5">
                <BroadcastForm token={session.adminToken} url={session.wsUrl} />
              </div>
            )}
          </div>
          <section
            aria-label="Realtime connection"
            className="contents min-w-0 grid-cols-1 gap-3 *:min-w-0 sm:gap-4 lg:grid"
          >
            <div className="max-lg:order-2">
              <OutageSimulator simulator={simulator} outage={outage} verdict={verdict} />
            </div>
            <div className="grid grid-cols-1 gap-3 max-lg:order-4 sm:gap-4 md:max-lg:grid-cols-2">
              <Connection
                rate={activity.rate}
                perSecond={activity.perSecond}
                connect={connect}
                shared={shared}
                share={share}
              />
              <RoomList {...rooms} activity={activity} listen={listen} forget={forget} />
            </div>
          </section>
        </div>
      </main>
    </>
  );
}

/** Apart from the page, so that an update of a metric renders nothing else. */
function Overview() {
  const [{ view, range }, setShown] = useState({ view: VIEWS[0] as MetricView, range: LIVE });
  const { charts, retry } = useCharts(view.metric, range);
  return (
    <>
      <MetricTiles charts={charts} />
      <TrendChart
        charts={charts}
        retry={retry}
        view={view}
        range={range}
        choose={(view, range) => setShown({ view, range })}
      />
    </>
  );
}
