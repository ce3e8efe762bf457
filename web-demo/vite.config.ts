/** How the demo is built, and where its development server finds the realtime server. */
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = process.env.OSBACKEND_URL ?? "http://localhost:8080";

/** Whether a request comes from this machine: with `vite --host` others reach this server, and it is near to the one behind it. */
const isNear = (address: string | undefined) => /^(::1|(::ffff:)?127(\.\d+){3})$/.test(address ?? "");

export default defineConfig({
  plugins: [react(), tailwindcss()],
  build: { target: "es2022", chunkSizeWarningLimit: 800 },
  server: {
    proxy: {
      "/ws": { target: server, ws: true },
      "/api": server,
      // It gives an admin's token to this machine, and must not be passed on to others.
      "/dev": {
        target: server,
        changeOrigin: true,
        bypass: (request) => (isNear(request.socket.remoteAddress) ? undefined : false),
      },
    },
  },
});
