// @vitest-environment happy-dom
/** The recipe of docs/RECIPES.md for events of one's own, with the history that they have before the page. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "@osbackend/realtime/inline";
import { RealtimeProvider } from "@osbackend/realtime/react";
import { createFakeServer } from "@osbackend/realtime/testing";
import { cleanup, render, screen } from "@testing-library/react";
import { expect, onTestFinished, test } from "vitest";
import { pageFolder } from "./pages.js";

test("a list of events of one's own begins with the history, and goes on with what arrives", async () => {
  const markdown = readFileSync(join(import.meta.dirname, "../../docs/RECIPES.md"), "utf8");
  const [, code = ""] = /```tsx recipe=own\n([\s\S]*?)```/.exec(markdown) ?? [];
  const file = join(pageFolder(), "own.tsx");
  writeFileSync(file, code);
  const { Orders } = await import(file);
  const server = createFakeServer();
  const client = createClient({ url: server.url, WebSocket: server.WebSocket });
  onTestFinished(() => {
    cleanup();
    client.disconnect();
  });
  await client.connect("ann");
  const order = (orderId: string, total: number) =>
    server.publish("agent:7", "order_placed", { orderId, total });
  order("a", 1);
  order("b", 2);
  server.publish("agent:7", "note", { orderId: "none" });
  render(
    <RealtimeProvider client={client}>
      <Orders room="agent:7" />
    </RealtimeProvider>,
  );
  await screen.findByText("a: 1");
  order("b", 3);
  order("c", 4);
  await screen.findByText("c: 4");
  expect([...document.querySelectorAll("p")].map((p) => p.textContent)).toEqual(["a: 1", "b: 3", "c: 4"]);
});
