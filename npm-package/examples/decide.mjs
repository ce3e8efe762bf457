/** What this backend decides: the same under Express and under Fetch. */

/**
 * @param {import("@osbackend/realtime/server").WebhookRequest} asked
 * @returns {import("@osbackend/realtime/server").WebhookAnswer}
 */
export function decide(asked) {
  switch (asked.event) {
    case "connect":
      return asked.userId === "mallory"
        ? { deny: { message: "this account is suspended" } }
        : { allow: true };
    case "join":
      return { allow: asked.room !== "agent:secret" || asked.role === "admin" };
    case "custom":
      return asked.type === "time:get"
        ? { reply: { data: { by: asked.userId } } }
        : { deny: { code: "unknown_type", message: "no such message" } };
    default:
      return {};
  }
}
