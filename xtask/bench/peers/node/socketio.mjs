/** The peer Socket.IO, tuned as its own documentation advises for load: WebSocket only, no served client, the HTTP request let go. */
import { createServer } from "node:http";
import { Server } from "socket.io";
import { announce, port, verify } from "./shared.mjs";

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  maxHttpBufferSize: 65536,
});

io.engine.on("connection", (raw) => {
  raw.request = null;
});

io.use((socket, next) => {
  try {
    socket.data.user = verify(socket.handshake.auth.token);
    next();
  } catch (error) {
    next(error);
  }
});

io.on("connection", (socket) => {
  socket.join(socket.handshake.auth.room);
  socket.on("publish", ({ room, type, data }) => {
    if (socket.data.user.role === "admin") io.to(room).emit(type, data);
  });
});

http.listen({ host: "127.0.0.1", port, backlog: 1024 }, () => announce(http));
