/** How the fake server answers `metrics:get`: ranges, days of a zone and pages as the real one, its points as they are. */
import type { MetricPoint, Metrics, MetricsGet } from "../generated/protocol.js";
import { Refusal } from "./refusal.js";

const DAY_MS = 86_400_000;
const MOST = 10_000;
/** Of the real server's form: range, time and place among the points. */
const CURSOR = /^([\da-f]+)-([\da-f]+)-[\da-f]+-([\da-f]+)-[\da-f]*$/;
const hex = (text: string) => Number.parseInt(text, 16);
const INTERVALS = ["1m", "15m", "1h", "1d"];

/** The newest of `points` in range, newest last; what was cut off has a cursor. No sums are made: `interval` is only told. */
export function metricsIn(points: readonly MetricPoint[], get: MetricsGet): Metrics {
  const { type, startDate, endDate, interval, tz, limit = MOST, cursor } = get;
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST) bad("limit", "must be 1 to 10000");
  if (interval !== undefined && !INTERVALS.includes(interval)) bad("interval", "must be 1m, 15m, 1h or 1d");
  if (tz !== undefined) {
    if (!isZone(tz)) bad("tz", "no such time zone: use an IANA name such as Europe/Berlin");
    if (interval !== "1d") bad("tz", "only days depend on a zone: use it with the interval 1d");
  }
  const asked = cursor === undefined ? undefined : CURSOR.exec(cursor)?.slice(1).map(hex);
  if (cursor !== undefined && asked === undefined) {
    bad("cursor", "not one that an answer had: leave it out to begin at the newest points");
  }
  const end = endDate === undefined ? Date.now() : msOf(endDate, tz, "endDate", 1);
  const [from = 0, to = 0, before = Number.POSITIVE_INFINITY] = asked ?? [
    startDate === undefined ? end - DAY_MS : msOf(startDate, tz, "startDate", 0),
    end,
  ];
  if (from > to) {
    bad(endDate === undefined ? "startDate" : "endDate", "the range ends before it begins");
  }
  const inRange = points
    .map((point, index) => ({ point, index, at: Date.parse(point.timestamp) }))
    .filter(({ point, at, index }) => {
      return (type === undefined || point.metric === type) && at >= from && at <= to && index < before;
    });
  const page = inRange.slice(-limit);
  const truncated = page.length < inRange.length;
  return {
    ...(type === undefined ? {} : { type }),
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    ...(interval === undefined ? {} : { interval }),
    ...(tz === undefined ? {} : { tz }),
    points: page.map(({ point }) => point),
    ...(truncated ? { truncated, cursor: cursorOf(from, to, page[0]) } : {}),
  };
}

function cursorOf(from: number, to: number, { at = 0, index = 0 } = {}): string {
  return `${[from, to, at, index].map((part) => part.toString(16)).join("-")}-`;
}

function bad(field: string, message: string): never {
  throw new Refusal("bad_request", `payload.${field}: ${message}`);
}

function isZone(tz: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: tz });
    return true;
  } catch {
    return false;
  }
}

/** A full time; or where the date's day begins in the zone, or ends with `later` 1. */
function msOf(text: string, tz: string | undefined, field: string, later: 0 | 1): number {
  const at = Date.parse(text);
  if (Number.isNaN(at)) bad(field, "expected a time such as 2026-11-23T03:26:18.042Z, or a date");
  if (text.length !== 10) return at;
  const midnight = at + later * DAY_MS;
  // Twice, because the clocks may change between the first guess and midnight.
  const local = midnight - offsetOf(midnight - offsetOf(midnight, tz), tz);
  return local - later;
}

/** How far the zone's clocks are ahead of UTC, in milliseconds. */
function offsetOf(at: number, tz = "UTC"): number {
  const format = new Intl.DateTimeFormat("en", {
    timeZone: tz,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  const part = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1000) * 1000;
}
