/** Whether the page is being developed. */

/**
 * Bundlers put the mode in place of `process.env.NODE_ENV`, and Node has it. A plain page has no `process`, and counts as
 * production.
 */
export function isDevelopment(): boolean {
  try {
    return process.env.NODE_ENV !== "production";
  } catch {
    return false;
  }
}
