/** The table of the large chart, and the same from the server's store. */
import type { Page } from "playwright-core";

export interface TableRow {
  t: number;
  /** The cells' numbers, left to right. */
  numbers: number[];
}

export interface ChartTable {
  metric: string;
  /** Time of the newest update that the page has. */
  newest: number;
  /** Oldest first. */
  rows: TableRow[];
}

export type RangeName = "2 min" | "1 h" | "24 h" | "7 d";
const IDS: Record<RangeName, string> = { "2 min": "live", "1 h": "hour", "24 h": "day", "7 d": "week" };

/** Shows a metric over a range as a table; resolves when its values are there. */
export async function showTable(page: Page, metric: string, range: RangeName): Promise<void> {
  await page.getByText(metric, { exact: true }).click();
  await page.getByText(range, { exact: true }).click();
  const toggle = page.getByTestId("as-table");
  if ((await toggle.getAttribute("aria-pressed")) === "false") await toggle.click();
  await page.waitForSelector(
    `[data-testid="trend"][data-range="${IDS[range]}"] [data-testid="chart-table"] tbody tr`,
  );
}

/** The whole table as of one moment. */
export async function readTable(page: Page): Promise<ChartTable> {
  return page.evaluate(() => {
    const table = document.querySelector<HTMLTableElement>('[data-testid="chart-table"]');
    if (!table) throw new Error("the page shows no table");
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    return {
      metric: table.dataset.metric ?? "",
      newest: Number(table.dataset.newest),
      rows: rows.reverse().map((row) => ({
        t: Number(row.dataset.t),
        numbers: [...row.querySelectorAll("data")].map((cell) => Number(cell.value)),
      })),
    };
  });
}

/** Resolves when the page has `count` more updates of the chart's metric. */
export async function updates(page: Page, count: number): Promise<void> {
  for (let seen = 0; seen < count; seen++) {
    const before = (await readTable(page)).newest;
    await page.waitForFunction(
      (t) => Number(document.querySelector<HTMLElement>('[data-testid="chart-table"]')?.dataset.newest) > t,
      before,
    );
  }
}

/** Resolves when the newest row is a later one than now: a span was closed, and the next one has begun. */
export async function nextSpan(page: Page): Promise<void> {
  const newest = '[data-testid="chart-table"] tbody tr:first-child';
  const before = await page.locator(newest).getAttribute("data-t");
  await page.waitForFunction(
    ([at, t]) => Number(document.querySelector<HTMLElement>(at as string)?.dataset.t) > Number(t),
    [newest, before] as const,
    { timeout: 150_000 },
  );
}

interface Stored {
  points: { timestamp: string; values: Record<string, unknown> }[];
}

type Sums = Record<"min" | "max" | "avg" | "last" | "count", number>;

/** What the server has stored of what `table` shows: the same times, up to the newest update that the page has. */
export async function storedTable(
  url: string,
  { metric, newest, rows }: ChartTable,
  fields: readonly [string, string],
  interval?: "1m" | "1h",
): Promise<TableRow[]> {
  const session = (await (await fetch(new URL("/dev/session", url))).json()) as { token: string };
  const query = new URLSearchParams({
    type: metric,
    startDate: new Date(rows[0]?.t ?? 0).toISOString(),
    endDate: new Date(newest).toISOString(),
    ...(interval ? { interval } : {}),
  });
  const response = await fetch(new URL(`/api/ws/metrics?${query}`, url), {
    headers: { authorization: `Bearer ${session.token}` },
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  const { points } = (await response.json()) as Stored;
  return points.map(({ timestamp, values }) => ({
    t: Date.parse(timestamp),
    numbers: interval ? spanOf(values, fields) : fields.map((field) => values[field] as number),
  }));
}

function spanOf(values: Record<string, unknown>, [headline, second]: readonly [string, string]): number[] {
  const sums = values[headline] as Sums;
  return [sums.avg, sums.min, sums.max, sums.last, sums.count, (values[second] as Sums).avg];
}
