/** A server that greets as recorded and then sends as many frames as it is told, as fast as the client takes them. */
import { frames } from "./frames.mjs";

/** `send()` sends `count` frames of `batch` events each and returns the number of events. */
export async function replay(peers, { greeting, event }, batch, count) {
  const server = new (peers("ws").WebSocketServer)({
    host: "127.0.0.1",
    port: 0,
    handleProtocols: (offered) => (offered.has("osbackend.v1") ? "osbackend.v1" : false),
  });
  await new Promise((listening) => server.on("listening", listening));
  let client;
  let offset = event.offset - 1;
  server.on("connection", (socket) => {
    client = socket;
    socket.on("message", (bytes) => {
      if (JSON.parse(bytes).type === "connect") socket.send(JSON.stringify(greeting));
    });
  });
  return {
    url: `ws://127.0.0.1:${server.address().port}/ws`,
    send() {
      for (const frame of frames(event, offset, batch, count)) client.send(frame);
      offset += batch * count;
      return batch * count;
    },
    close() {
      client?.terminate();
      server.close();
    },
  };
}
