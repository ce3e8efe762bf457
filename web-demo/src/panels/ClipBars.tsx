/** The bars of the clips, with a table of the same for who can't see them. */
import { memo } from "react";
import { Bar, BarChart, LabelList, ResponsiveContainer, XAxis, YAxis } from "recharts";
import type { Clip } from "../hooks/useClips.ts";
import { ROW_PX } from "../lib/clips.ts";
import { formatCount } from "../lib/format.ts";

const ClipBars = memo(function ClipBars({ clips }: { clips: readonly Clip[] }) {
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
      <div aria-hidden="true" className="grow" style={{ minHeight: ROW_PX * clips.length }}>
        <ResponsiveContainer
          width="100%"
          height="100%"
          initialDimension={{ width: 400, height: ROW_PX * clips.length }}
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
});

export default ClipBars;
