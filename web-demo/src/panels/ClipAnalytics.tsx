/** How often each clip was played, as bars. */
import { MapPin } from "lucide-react";
import { Bar, BarChart, LabelList, ResponsiveContainer, XAxis, YAxis } from "recharts";
import { type Clip, useClips } from "../hooks/useClips.ts";
import { formatCount } from "../lib/format.ts";
import { Card, Empty } from "../ui/Card.tsx";

const ROW = 44;
const FEWEST = 6;

export function ClipAnalytics() {
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
      <div className="flex grow flex-col" style={{ minHeight: ROW * FEWEST }}>
        {clips.length === 0 ? <Empty>No clip was played yet.</Empty> : <Bars clips={clips} />}
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
}

function Bars({ clips }: { clips: readonly Clip[] }) {
  return (
    <>
      <table className="sr-only">
        <caption>Plays of each clip</caption>
        <tbody>
          {clips.map((clip) => (
            <tr key={clip.id}>
              <th scope="row">{clip.id}</th>
              <td>{clip.plays}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <div aria-hidden="true" className="grow" style={{ minHeight: ROW * clips.length }}>
        <ResponsiveContainer
          width="100%"
          height="100%"
          initialDimension={{ width: 400, height: ROW * clips.length }}
        >
          <BarChart
            data={clips as Clip[]}
            layout="vertical"
            margin={{ top: 0, right: 44, bottom: 0, left: 0 }}
            barCategoryGap="34%"
            accessibilityLayer={false}
          >
            <XAxis type="number" hide domain={[0, "dataMax"]} />
            <YAxis
              type="category"
              dataKey="id"
              width={56}
              tick={{ fill: "var(--ink-2)", fontSize: 12 }}
              tickLine={false}
              axisLine={false}
            />
            <Bar
              dataKey="plays"
              fill="var(--chart-2)"
              radius={5}
              background={{ fill: "var(--raised)", radius: 5 }}
              isAnimationActive={false}
            >
              <LabelList
                dataKey="plays"
                position="right"
                offset={8}
                formatter={(plays) => formatCount(Number(plays))}
                style={{
                  fill: "var(--ink)",
                  fontSize: 12,
                  fontWeight: 500,
                  fontVariantNumeric: "tabular-nums",
                }}
              />
            </Bar>
          </BarChart>
        </ResponsiveContainer>
      </div>
    </>
  );
}
