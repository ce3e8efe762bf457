/** Puts what the client tells into the page, where the test reads it. */
import type { RealtimeClient } from "@osbackend/realtime";

export const query = new URLSearchParams(location.search);

export function show(id: string, text: string): void {
  const output = document.getElementById(id);
  if (output !== null) output.textContent = text;
}

/** Adds to what is shown. */
export function add(id: string, text: string): void {
  document.getElementById(id)?.append(` ${text}`);
}

export function live(client: RealtimeClient): void {
  client.on("state", (state) => show("state", state.status));
  client.on("room", (state) => state.room === "dashboard:overview" && show("room", state.status));
  client.joinRoom("dashboard:overview").on("agent_status_change", ({ agentId }) => add("event", agentId));
  client.connect(query.get("token"), { url: query.get("url") ?? "" });
}
