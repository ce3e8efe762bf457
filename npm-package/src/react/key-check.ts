/** In development: whether the fields that `keyBy` names are there. */
import { isDevelopment } from "../development.js";
import { advise } from "../report.js";

const told = new Set<string>();

/** Looks at the first event of a type that is kept by fields of the application's choice. */
export function checkKey(type: string, fields: readonly string[], data: Record<string, unknown>): void {
  if (!isDevelopment()) return;
  for (const field of fields) {
    const what = JSON.stringify([type, field]);
    if (Object.hasOwn(data, field) || told.has(what)) continue;
    told.add(what);
    advise(
      `useRoomState: keyBy names ${JSON.stringify(field)}, which the data of ${JSON.stringify(type)} doesn't have, so that its events replace each other; it has ${Object.keys(data).join(", ") || "no fields"}`,
    );
  }
}
