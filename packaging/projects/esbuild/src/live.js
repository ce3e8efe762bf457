/** Puts what the client tells into the page, where the test reads it. */
const query = new URLSearchParams(location.search);
const show = (id, text) => {
  document.getElementById(id).textContent = text;
};

export function live(client) {
  client.on("state", ({ status }) => show("state", status));
  client.on("room", ({ room, status }) => room === "dashboard:overview" && show("room", status));
  client.joinRoom("dashboard:overview").on("agent_status_change", ({ agentId }) => {
    document.getElementById("event").append(` ${agentId}`);
  });
  client.connect(query.get("token"), { url: query.get("url") });
}
