/** Records what the real server says: the greeting of `osbackend.v1` with one room joined, and one event of it. */
const ROOM = "agent:7";

/** Resolves to `{greeting, event, token}`, both messages as parsed JSON. */
export async function record(peers, url, secret) {
  const WebSocket = peers("ws");
  const token = peers("jsonwebtoken").sign({ sub: "bench-admin", role: "admin" }, secret, { expiresIn: "1h" });
  const socket = new WebSocket(url, "osbackend.v1");
  const waiting = new Map();
  const seen = (type) => new Promise((resolve) => waiting.set(type, resolve));
  const failed = new Promise((_, reject) => {
    socket.on("error", reject);
    socket.on("close", (code, reason) => reject(new Error(`the server closed: ${code} ${reason}`)));
  });
  // Only one of the two ends the recording.
  failed.catch(() => {});
  socket.on("message", (bytes) => {
    const frame = JSON.parse(bytes);
    for (const message of Array.isArray(frame) ? frame : [frame]) waiting.get(message.type)?.(message);
  });
  const opened = new Promise((resolve) => socket.on("open", resolve));
  await Promise.race([opened, failed]);

  const say = (type, payload) => socket.send(JSON.stringify({ type, payload }));
  const greeted = seen("connection_established");
  say("connect", { protocol: 1, token, rooms: [{ room: ROOM }], batch: true });
  const greeting = await Promise.race([greeted, failed]);
  const delivered = seen("bench_event");
  const data = { benchSeq: 1, status: "online", fill: "abcdefgh ".repeat(12) };
  say("publish", { room: ROOM, type: "bench_event", data });
  const event = await Promise.race([delivered, failed]);
  socket.close();
  return { greeting, event, token };
}
