/** The large chart: one metric over a range, moving as updates arrive, as a drawing or as a table. */
import { ChartLine, Table2 } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import type { UseCharts } from "../hooks/useCharts.ts";
import { formatPercent } from "../lib/format.ts";
import { type MetricView, type Point, VIEWS } from "../lib/metrics.ts";
import { filledIn, plotOf } from "../lib/plot.ts";
import { RANGES, type Range } from "../lib/ranges.ts";
import type { SeriesPicture } from "../lib/series.ts";
import { Button, IconButton } from "../ui/Button.tsx";
import { Card, Empty } from "../ui/Card.tsx";
import { Segments } from "../ui/Segments.tsx";
import { TrendTable } from "./TrendTable.tsx";

/** Apart, as the chart library is most of the page's code: the numbers need not wait for it. */
const TrendPlot = lazy(() => import("./TrendPlot.tsx"));

const TABS = VIEWS.map((view) => view.tab);
const LABELS = RANGES.map((range) => range.label);

export interface TrendChartProps extends UseCharts {
  view: MetricView;
  range: Range;
  choose: (view: MetricView, range: Range) => void;
}

export function TrendChart({ charts, retry, view, range, choose }: TrendChartProps) {
  const [asTable, setAsTable] = useState(false);
  const picture = charts[view.metric];
  const Other = asTable ? ChartLine : Table2;
  return (
    <Card
      title="Trends"
      aside={
        <div className="flex flex-wrap items-center gap-2">
          <Segments
            legend="Metric of the chart"
            options={TABS}
            chosen={VIEWS.indexOf(view)}
            choose={(index) => choose(VIEWS[index] ?? view, range)}
          />
          <Segments
            legend="Range of the chart"
            options={LABELS}
            chosen={RANGES.indexOf(range)}
            choose={(index) => choose(view, RANGES[index] ?? range)}
          />
          <IconButton
            className="size-7!"
            data-testid="as-table"
            aria-pressed={asTable}
            aria-label="Show as a table"
            title={asTable ? "Show as a chart" : "Show as a table"}
            onClick={() => setAsTable(!asTable)}
          >
            <Other aria-hidden="true" size={15} strokeWidth={1.75} />
          </IconButton>
        </div>
      }
    >
      <Legend view={view} newest={picture.points.at(-1)} />
      <div className="flex h-60 flex-col sm:h-72" data-testid="trend" data-range={picture.range.id}>
        {picture.error === undefined ? (
          <Body view={view} picture={picture} asTable={asTable} />
        ) : (
          <Failed reason={picture.error} retry={retry} />
        )}
      </div>
      <Caption view={view} picture={picture} />
    </Card>
  );
}

function Body({ view, picture, asTable }: { view: MetricView; picture: SeriesPicture; asTable: boolean }) {
  const plot = plotOf(picture, view);
  if (plot.rows.length < 2) return <Empty>The chart begins with the first updates.</Empty>;
  if (asTable) return <TrendTable view={view} plot={plot} picture={picture} />;
  return (
    <Suspense>
      <TrendPlot view={view} plot={plot} />
    </Suspense>
  );
}

function Failed({ reason, retry }: { reason: string; retry: () => void }) {
  return (
    <div role="alert" className="grid grow place-content-center justify-items-center gap-3 text-center">
      <p className="text-ink-2 text-sm">The stored values could not be loaded: {reason}</p>
      <Button onClick={retry}>Try again</Button>
    </div>
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

/** What a point of the chart stands for, and how much of it was there before anyone looked. */
function Caption({ view, picture: { range, spans } }: { view: MetricView; picture: SeriesPicture }) {
  const share = filledIn(spans, view);
  const what = range.spans
    ? `One value a ${range.spans.each}, stored and live; the band is from the least to the most.`
    : "Every update of the last two minutes: stored ones first, then live.";
  return (
    <p className="mt-2.5 min-h-8 text-ink-3 text-xs leading-4 sm:min-h-4">
      {what}
      {share > 0 && ` ${formatPercent(share * 100)} of the points are sample data, filled in by the demo.`}
    </p>
  );
}
