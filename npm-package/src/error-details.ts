/** The fields of an error. */

/** Gives an error those of `details` that are known: one that is printed shows no row of `undefined`. */
export function describe(error: Error, { cause: _, ...details }: { cause?: unknown }): void {
  for (const [name, value] of Object.entries(details)) {
    if (value !== undefined) Object.assign(error, { [name]: value });
  }
}
