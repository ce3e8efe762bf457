/** What numbers look like on the page. */
import { expect, test } from "vitest";
import {
  formatAgo,
  formatDuration,
  formatMinutes,
  formatPercent,
  formatRate,
  formatShort,
  formatSpan,
} from "./format.ts";

test.each([
  [formatMinutes(184.3), "3:04"],
  [formatMinutes(59.7), "1:00"],
  [formatDuration(840), "0.8 s"],
  [formatDuration(12_400), "12 s"],
  [formatDuration(180_000), "3 min"],
  [formatDuration(7_200_000), "2 h"],
  [formatDuration(-5), "0.0 s"],
  [formatSpan(3900), "3 s"],
  [formatSpan(119_000), "1 min"],
  [formatAgo(900), "just now"],
  [formatAgo(61_000), "1 min ago"],
  [formatPercent(23.46), "23.5%"],
  [formatRate(0.1184), "$0.118"],
  [formatShort(9876), "9,876"],
  [formatShort(114_240), "114.2K"],
])("%s", (written, expected) => {
  expect(written).toBe(expected);
});
