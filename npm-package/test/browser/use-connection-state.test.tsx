/** `useConnectionState` in Chromium: every state of a connection that is lost, and a selection of it. */
import { expect, test } from "vitest";
import { useConnectionState } from "../../src/react/index.js";
import { becomes, countedClient, Page, server, strict } from "./page.js";

test("follows a connection through its life; a selection renders for nothing else", async () => {
  const { client, sockets } = countedClient();
  const seen: string[] = [];
  function Status() {
    const { status } = useConnectionState();
    if (seen.at(-1) !== status) seen.push(status);
    return <p>{status}</p>;
  }
  const Away = () => <b>{useConnectionState((state) => state.status === "closed") ? " closed" : " open"}</b>;
  const page = new Page();
  page.render(
    strict(
      client,
      <>
        <Status />
        {page.profiled("selection", <Away />)}
      </>,
    ),
  );
  await becomes(() => page.text, "idle open");
  await client.connect(server.token);
  await becomes(() => page.text, "connected open");
  sockets.all[0]?.close(4000, "test");
  await becomes(() => [sockets.all.length, page.text], [2, "connected open"]);
  client.disconnect();
  await becomes(() => page.text, "closed closed");
  expect(seen).toEqual([
    "idle",
    "connecting",
    "connected",
    "reconnecting",
    "connecting",
    "connected",
    "closed",
  ]);
  expect(page.count("selection")).toBe(2);
});
