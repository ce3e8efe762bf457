/**
 * The peer `ws`: rooms as a Map of Sets, an event serialised once and sent to every member as one Buffer.
 * It answers the same `connect` and `publish` messages as our server, so the load generator treats both alike.
 */
import { WebSocketServer, WebSocket } from "ws";
import { announce, port, verify } from "./shared.mjs";

const rooms = new Map();
// Compression is off by default; ours has none either.
const server = new WebSocketServer({ host: "127.0.0.1", port, path: "/ws", backlog: 1024, maxPayload: 65536 });

const handlers = {
  connect(socket, { token, rooms: wanted }) {
    socket.user = verify(token);
    for (const { room } of wanted) {
      let members = rooms.get(room);
      if (!members) rooms.set(room, (members = new Set()));
      members.add(socket);
    }
    socket.rooms = wanted.map(({ room }) => room);
    socket.send(JSON.stringify({ type: "connection_established", data: { rooms: socket.rooms } }));
  },
  publish(socket, { room, type, data }) {
    if (socket.user?.role !== "admin") throw new Error("only admins publish");
    const frame = Buffer.from(JSON.stringify({ type, data, room }));
    for (const member of rooms.get(room) ?? []) {
      if (member.readyState === WebSocket.OPEN) member.send(frame, { binary: false });
    }
  },
};

server.on("connection", (socket) => {
  socket.isAlive = true;
  socket.on("pong", () => {
    socket.isAlive = true;
  });
  socket.on("message", (bytes) => {
    try {
      const { type, payload } = JSON.parse(bytes);
      handlers[type](socket, payload);
    } catch (error) {
      socket.close(4500, String(error.message).slice(0, 100));
    }
  });
  socket.on("close", () => {
    for (const room of socket.rooms ?? []) rooms.get(room)?.delete(socket);
  });
  socket.on("error", () => socket.terminate());
});

// The liveness check of the ws README, at our interval.
setInterval(() => {
  for (const socket of server.clients) {
    if (!socket.isAlive) {
      socket.terminate();
      continue;
    }
    socket.isAlive = false;
    socket.ping();
  }
}, 25_000).unref();

server.on("listening", () => announce(server));
