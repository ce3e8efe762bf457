/** Whether events are checked before listeners see them. What checks them is loaded only then. */
import { isDevelopment } from "./development.js";
import type { ClientOptions } from "./types.js";

/** By the option, else in development only. */
export function isStrict({ validate }: ClientOptions): boolean {
  return validate === undefined ? isDevelopment() : validate === "strict";
}
