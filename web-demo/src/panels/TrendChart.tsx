/** The large chart: one metric over the last two minutes, moving as updates arrive. */
import { lazy, Suspense, useId, useState } from "react";
import type { History } from "../lib/history.ts";
import { type MetricView, type Point, VIEWS } from "../lib/metrics.ts";
import { Card, Empty } from "../ui/Card.tsx";

/** Apart, as the chart library is most of the page's code: the numbers need not wait for it. */
const TrendPlot = lazy(() => import("./TrendPlot.tsx"));

export function TrendChart({ history }: { history: History }) {
  const [shown, setShown] = useState(0);
  const view = VIEWS[shown] ?? (VIEWS[0] as MetricView);
  const points = history[view.metric] ?? [];
  return (
    <Card title="Last two minutes" aside={<Choice shown={shown} choose={setShown} />}>
      <Legend view={view} newest={points.at(-1)} />
      <div className="flex h-60 flex-col sm:h-72">
        {points.length < 2 ? (
          <Empty>The chart begins with the first updates.</Empty>
        ) : (
          <Suspense>
            <TrendPlot view={view} points={points} />
          </Suspense>
        )}
      </div>
    </Card>
  );
}

function Choice({ shown, choose }: { shown: number; choose: (index: number) => void }) {
  const name = useId();
  return (
    <fieldset className="flex rounded-lg bg-raised p-0.5">
      <legend className="sr-only">Metric of the chart</legend>
      {VIEWS.map((view, index) => (
        <label
          key={view.metric}
          className="cursor-pointer rounded-md px-2.5 py-1 font-medium text-ink-2 text-xs transition-colors hover:text-ink has-checked:bg-surface has-checked:text-ink has-checked:shadow-sm has-focus-visible:outline-2 has-focus-visible:outline-brand"
        >
          <input
            type="radio"
            name={name}
            className="sr-only"
            checked={index === shown}
            onChange={() => choose(index)}
          />
          {view.tab}
        </label>
      ))}
    </fieldset>
  );
}

function Legend({ view, newest }: { view: MetricView; newest: Point | undefined }) {
  const series = view.second ? [view.headline, view.second] : [view.headline];
  return (
    <dl className="mb-3 flex h-5 gap-x-5 text-xs">
      {series.map(({ field, label, color, format }) => {
        const value = newest?.values[field];
        return (
          <div key={field} className="flex items-center gap-2">
            <span aria-hidden="true" className="h-0.5 w-3.5 rounded-full" style={{ background: color }} />
            <dt className="text-ink-3">{label}</dt>
            <dd className="font-medium tabular-nums">{value === undefined ? "–" : format(value)}</dd>
          </div>
        );
      })}
    </dl>
  );
}
