/** `useWebSocket` and the provider in Chromium: one socket, whoever mounts how often. */
import { version } from "react";
import { expect, test } from "vitest";
import { RealtimeProvider, useWebSocket } from "../../src/react/index.js";
import { becomes, connections, countedClient, Page, Sockets, server, strict } from "./page.js";

declare const __REACT__: string;

function Status({ token }: { token?: string | (() => string) | null }) {
  const { connected, authenticated } = useWebSocket(token);
  return <p>{connected ? (authenticated ? "live " : "anonymous ") : "away "}</p>;
}

test("the React that this run is about", () => {
  expect(version.split(".")[0]).toBe(__REACT__);
});

test("StrictMode and several components: one socket, which goes with the last of them", async () => {
  const before = await connections();
  const { client, sockets } = countedClient();
  const page = new Page();
  const two = (second: boolean) =>
    strict(
      client,
      <>
        <Status token={server.token} />
        {second && <Status token={server.token} />}
      </>,
    );
  page.render(two(true));
  await becomes(() => page.text, "live live ");
  expect([sockets.all.length, await connections()]).toEqual([1, before + 1]);
  page.render(two(false));
  await becomes(() => page.text, "live ");
  // A change of page: all of it goes, and the next needs the connection again.
  page.renderNow(strict(client, null));
  expect(page.text).toBe("");
  page.renderNow(two(true));
  await becomes(() => page.text, "live live ");
  expect([sockets.all.length, sockets.open]).toEqual([1, 1]);
  page.unmount();
  await becomes(() => client.state.status, "closed");
  await becomes(connections, before);
  expect(sockets.all.length).toBe(1);
});

test("a token provider written inline, a new one at each render, makes no second connection", async () => {
  const { client, sockets } = countedClient();
  const page = new Page();
  const asked: number[] = [];
  const at = (render: number) => {
    const token = () => {
      asked.push(render);
      return server.token;
    };
    return strict(client, <Status token={token} />);
  };
  page.render(at(1));
  await becomes(() => page.text, "live ");
  for (let render = 2; render < 6; render += 1) page.render(at(render));
  // Another function may be another user's: the newest is asked, and found to be the same one's.
  await becomes(() => asked, [1, 5]);
  // Lost: the newest provider is asked.
  sockets.all[0]?.close(4000, "test");
  await becomes(() => [page.text, sockets.all.length], ["live ", 2]);
  expect(asked).toEqual([1, 5, 5]);
});

test("no token yet: no connection; a provider with options and token has a client of its own", async () => {
  const { client, sockets } = countedClient();
  const page = new Page();
  page.render(strict(client, <Status />));
  await becomes(() => page.text, "away ");
  expect([client.state.status, sockets.all.length]).toEqual(["idle", 0]);
  page.render(strict(client, <Status token={server.token} />));
  await becomes(() => page.text, "live ");

  const own = new Sockets();
  const other = new Page();
  other.render(
    strict(
      client,
      <RealtimeProvider options={{ url: server.ws, WebSocket: own.WebSocket }} token={server.adminToken}>
        <Status />
      </RealtimeProvider>,
    ),
  );
  await becomes(() => other.text, "live ");
  expect([own.all.length, sockets.all.length]).toEqual([1, 1]);
});
