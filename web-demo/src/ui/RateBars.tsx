/** One bar a second for the last minute. Decorative: the rate stands beside it as a number. */

export function RateBars({ perSecond }: { perSecond: readonly number[] }) {
  const most = Math.max(8, ...perSecond);
  // A bar is its place in the minute.
  const bars = Array.from(perSecond, (count, place) => ({ count, place }));
  return (
    <div aria-hidden="true" className="flex h-9 items-end gap-px overflow-hidden">
      {bars.map(({ count, place }) => (
        <div
          key={place}
          className={`min-w-0 flex-1 rounded-t-[1px] ${count > 0 ? "bg-brand" : "bg-line"}`}
          style={{ height: count > 0 ? `${Math.max(6, (count / most) * 100)}%` : "2px" }}
        />
      ))}
    </div>
  );
}
