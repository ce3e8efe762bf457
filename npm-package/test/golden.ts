/** Reads the golden frames that Rust reads too (shared-protocol/fixtures). */
import { readFileSync } from "node:fs";

export interface GoldenFrame {
  type: string;
  payload?: Record<string, unknown> | null;
  data?: Record<string, unknown>;
  id?: string | number | null;
  room?: string;
  offset?: number | null;
  eventId?: string;
  timestamp?: string;
  snapshot?: boolean;
  skipped?: number;
}

export interface Golden {
  name: string;
  frame: GoldenFrame;
  canonical?: GoldenFrame;
}

export interface GoldenCloseCode {
  code: number;
  reason?: string;
  reconnect: "yes" | "with_new_token" | "no";
}

export function golden<T>(file: string): T[] {
  const url = new URL(`../../shared-protocol/fixtures/${file}.json`, import.meta.url);
  const all = JSON.parse(readFileSync(url, "utf8")) as T[];
  if (all.length === 0) throw new Error(`${file} holds nothing`);
  return all;
}
