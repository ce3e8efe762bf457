/** Numbers, money, durations and times as people read them. */

const LOCALE = "en-US";

const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumFractionDigits: 1 });
const tenth = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const money = new Intl.NumberFormat(LOCALE, { style: "currency", currency: "USD" });
const fineMoney = new Intl.NumberFormat(LOCALE, {
  style: "currency",
  currency: "USD",
  minimumFractionDigits: 3,
});
const clock = new Intl.DateTimeFormat(LOCALE, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

export const formatCount = (value: number): string => whole.format(value);
/** `9,999`, then `10K`: where there is little room. */
export const formatShort = (value: number): string =>
  value < 10_000 ? whole.format(value) : short.format(value);
export const formatTenth = (value: number): string => tenth.format(value);
export const formatUsd = (value: number): string => money.format(value);
/** Of a part of a dollar, to a tenth of a cent. */
export const formatRate = (value: number): string => fineMoney.format(value);
export const formatPercent = (percent: number): string => `${tenth.format(percent)}%`;
const hourAndMinute = new Intl.DateTimeFormat(LOCALE, {
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
const day = new Intl.DateTimeFormat(LOCALE, { month: "short", day: "numeric" });

/** `14:05`. */
export const formatTime = (ms: number): string => hourAndMinute.format(ms);
/** `Nov 24`. */
export const formatDay = (ms: number): string => day.format(ms);
export const formatClock = (ms: number): string => clock.format(ms);

/** `3:04` from seconds. */
export function formatMinutes(seconds: number): string {
  const total = Math.round(seconds);
  return `${Math.floor(total / 60)}:${String(total % 60).padStart(2, "0")}`;
}

/** `0.8 s`, `12 s`, `3 min`, `2 h` from milliseconds. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${tenth.format(seconds)} s`;
  if (seconds < 60) return `${whole.format(seconds)} s`;
  if (seconds < 3600) return `${whole.format(seconds / 60)} min`;
  return `${whole.format(seconds / 3600)} h`;
}

/** `0 s`, `12 s`, `3 min`: for what counts up on the page, where tenths would only flicker. */
export function formatSpan(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  return seconds < 60 ? `${seconds} s` : formatDuration(Math.floor(seconds / 60) * 60_000);
}

/** `just now`, `12 s ago`, `3 min ago`. */
export function formatAgo(ms: number): string {
  return ms < 2000 ? "just now" : `${formatSpan(ms)} ago`;
}
