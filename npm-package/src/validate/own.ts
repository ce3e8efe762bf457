/** Runs an application's own validator: a function, or a schema of any library with Standard Schema. */
import { messageOf } from "../errors.js";
import type { StandardIssue, StandardResult, Validator } from "../validators.js";
import type { Problem } from "./check.js";

const AT_ONCE = "a validator that answers at once";

/** What the validator has against the data. */
export function checkOwn(validator: Validator, data: unknown): Problem | undefined {
  try {
    // ArkType's schemas are functions, too.
    const answer: unknown =
      "~standard" in validator ? validator["~standard"].validate(data) : validator(data);
    if (isPromise(answer)) {
      // It is nobody's: an unhandled rejection would end a process of Node.
      answer.then(undefined, () => {});
      return { path: "data", expected: AT_ONCE, received: "a promise" };
    }
    if (answer === false) return refused("data that its validator takes", undefined);
    if (!("~standard" in validator)) return undefined;
    const [issue] = (answer as StandardResult).issues ?? [];
    return issue && refused(issue.message, issue.path);
  } catch (thrown) {
    // What schemas throw (`schema.parse` as the function) has issues, too.
    const [issue] = (thrown as { issues?: readonly StandardIssue[] } | null)?.issues ?? [];
    return refused(issue?.message ?? messageOf(thrown), issue?.path);
  }
}

function refused(message: string, path: StandardIssue["path"]): Problem {
  let text = "data";
  for (const step of path ?? []) {
    const key = typeof step === "object" ? step.key : step;
    text += typeof key === "number" ? `[${key}]` : `.${String(key)}`;
  }
  return { path: text, expected: message, received: "something else" };
}

function isPromise(answer: unknown): answer is Promise<unknown> {
  return typeof (answer as Promise<unknown> | null | undefined)?.then === "function";
}
