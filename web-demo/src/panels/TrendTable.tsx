/** The chart's values as a table, newest first: for who can't see the drawing, and for who wants the numbers. */
import { memo } from "react";
import { formatCount } from "../lib/format.ts";
import type { MetricView } from "../lib/metrics.ts";
import type { Plot, Row } from "../lib/plot.ts";
import type { SeriesPicture } from "../lib/series.ts";

export interface TrendTableProps {
  view: MetricView;
  plot: Plot;
  picture: SeriesPicture;
}

const SUMS = ["avg", "min", "max", "last"] as const;
const HEADS = { avg: "Mean", min: "Least", max: "Most", last: "Last" };

export const TrendTable = memo(function TrendTable({ view, plot, picture }: TrendTableProps) {
  const { headline, second } = view;
  const { spans, words } = picture.range;
  const rows = plot.rows.filter((row) => row.headline !== undefined);
  const heads = spans ? [...SUMS.map((name) => HEADS[name]), "Points"] : [headline.label];
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and so the keyboard has to reach it.
    <section aria-label="Values of the chart" tabIndex={0} className="min-h-0 grow overflow-auto rounded-lg">
      <table
        data-testid="chart-table"
        data-metric={view.metric}
        data-newest={picture.points.at(-1)?.t}
        className="w-full text-right text-xs tabular-nums"
      >
        <caption className="sr-only">
          {headline.label} over {words}, newest first
        </caption>
        <thead className="sticky top-0 bg-surface text-ink-3">
          <tr>
            <th scope="col" className="py-1.5 pr-3 text-left font-normal">
              {spans ? `From (one ${spans.each})` : "Time"}
            </th>
            {heads.map((head) => (
              <th key={head} scope="col" className="py-1.5 pl-3 font-normal">
                {head}
              </th>
            ))}
            {second && (
              <th scope="col" className="py-1.5 pl-3 font-normal">
                {second.label}
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {rows.toReversed().map((row) => (
            <Values key={row.key} row={row} view={view} plot={plot} />
          ))}
        </tbody>
      </table>
    </section>
  );
});

function Values({ row, view, plot }: { row: Row; view: MetricView; plot: Plot }) {
  const { headline, second } = view;
  return (
    <tr data-t={row.t} className="border-line border-t">
      <th scope="row" className="py-1.5 pr-3 text-left font-normal text-ink-2">
        {plot.formatRow(row.t)}
      </th>
      {row.sum ? (
        <>
          {SUMS.map((name) => (
            <Cell key={name} value={row.sum?.[name]} format={headline.format} />
          ))}
          <Cell value={row.sum.count} format={formatCount} />
        </>
      ) : (
        <Cell value={row.headline} format={headline.format} />
      )}
      {second && <Cell value={row.second} format={second.format} />}
    </tr>
  );
}

function Cell({ value, format }: { value: number | undefined; format: (value: number) => string }) {
  return (
    <td className="py-1.5 pl-3">{value === undefined ? "–" : <data value={value}>{format(value)}</data>}</td>
  );
}
