/** Whether events are checked before listeners see them. What checks them is loaded only then. */
import type { ClientOptions } from "./types.js";

/**
 * By the option, else by the mode: bundlers put it in place of `process.env.NODE_ENV`, and Node has it. In a plain page there
 * is no `process`, and nothing is checked.
 */
export function isStrict({ validate }: ClientOptions): boolean {
  if (validate !== undefined) return validate === "strict";
  try {
    return process.env.NODE_ENV !== "production";
  } catch {
    return false;
  }
}
