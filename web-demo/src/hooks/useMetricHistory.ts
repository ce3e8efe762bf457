/** The last two minutes of every metric: what the server kept, then each live update. */
import type { Metrics } from "@osbackend/realtime";
import { useEffect, useReducer } from "react";
import { type History, type Sample, withSamples } from "../lib/history.ts";
import { METRICS, numbersOf } from "../lib/metrics.ts";
import { useLive } from "./useLive.ts";

export function useMetricHistory(): History {
  const { service, state } = useLive();
  const [history, add] = useReducer(withSamples, {});

  useEffect(
    () =>
      service.on("metric_update", (data, meta) => {
        add([{ metric: data.metric, t: Date.parse(meta.timestamp), values: numbersOf(data.values) }]);
      }),
    [service],
  );

  const connected = state.status === "connected";
  useEffect(() => {
    if (!connected) return;
    let current = true;
    for (const type of METRICS) {
      service.request("metrics:get", { type, limit: 120 }).then(
        (reply) => current && add(samplesOf(reply)),
        // Without a backfill the charts begin with the first live update; nothing to tell the visitor.
        () => {},
      );
    }
    return () => {
      current = false;
    };
  }, [service, connected]);

  return history;
}

function samplesOf({ points }: Metrics): Sample[] {
  return points.map(({ metric, timestamp, values }) => ({
    metric,
    t: Date.parse(timestamp),
    values: numbersOf(values),
  }));
}
