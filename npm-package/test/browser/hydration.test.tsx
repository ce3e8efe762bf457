/** A server's markup taken over in Chromium: no mismatch, and live after it. */
import { StrictMode } from "react";
import { expect, test, vi } from "vitest";
import { becomes, countedClient, Page, server } from "./page.js";
import { MARKUP, ServerPage } from "./server-page.js";

test("hydrated without a warning, also where the client is connected already; then it is live", async () => {
  const said = vi.spyOn(console, "error");
  const { client, sockets } = countedClient();
  await client.connect(server.token);
  client.joinRoom("dashboard:overview");
  await becomes(() => client.roomState("dashboard:overview")?.status, "joined");
  const page = new Page();
  const complaints = page.hydrate(
    MARKUP,
    <StrictMode>
      <ServerPage client={client} token={server.token} />
    </StrictMode>,
  );
  expect(page.element.innerHTML).toBe(MARKUP);
  await becomes(() => page.element.querySelector("li")?.textContent, "true connected joined true");
  await becomes(() => page.element.querySelector("li:last-child")?.textContent, "1 false");
  expect([complaints, said.mock.calls]).toEqual([[], []]);
  expect([sockets.all.length, sockets.joins("dashboard:overview")]).toEqual([1, 1]);
});
