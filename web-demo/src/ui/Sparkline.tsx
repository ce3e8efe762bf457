/** A small area without axes: how a value moved. Decorative: the number beside it says the same. */
import { useId } from "react";
import { Area, AreaChart, ResponsiveContainer, XAxis, YAxis } from "recharts";
import { WINDOW_MS } from "../lib/history.ts";
import type { Point } from "../lib/metrics.ts";

export interface SparklineProps {
  points: readonly Point[];
  field: string;
  color: string;
}

const SHOWN_MS = WINDOW_MS / 2;

export function Sparkline({ points, field, color }: SparklineProps) {
  const fill = useId();
  const newest = points.at(-1)?.t ?? 0;
  const shown = points.filter((point) => point.t >= newest - SHOWN_MS);
  return (
    <div aria-hidden="true" className="pointer-events-none h-12">
      {shown.length > 1 && (
        <ResponsiveContainer width="100%" height="100%" initialDimension={{ width: 280, height: 48 }}>
          <AreaChart
            data={shown as Point[]}
            margin={{ top: 3, right: 0, bottom: 0, left: 0 }}
            accessibilityLayer={false}
          >
            <defs>
              <linearGradient id={fill} x1="0" y1="0" x2="0" y2="1">
                <stop offset="0" stopColor={color} stopOpacity={0.26} />
                <stop offset="1" stopColor={color} stopOpacity={0} />
              </linearGradient>
            </defs>
            <XAxis hide dataKey="t" type="number" domain={[newest - SHOWN_MS, newest]} allowDataOverflow />
            <YAxis hide domain={["dataMin", "dataMax"]} padding={{ top: 2, bottom: 6 }} />
            <Area
              dataKey={(point: Point) => point.values[field]}
              type="monotone"
              stroke={color}
              strokeWidth={1.75}
              fill={`url(#${fill})`}
              isAnimationActive={false}
              dot={false}
              activeDot={false}
            />
          </AreaChart>
        </ResponsiveContainer>
      )}
    </div>
  );
}
