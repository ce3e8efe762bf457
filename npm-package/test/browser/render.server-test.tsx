/** On a server: the initial state, with nothing touched that a server has or lacks. */
import { version } from "react";
import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import service, { createClient } from "../../src/index.js";
import { MARKUP, ServerPage } from "./server-page.js";

declare const __REACT__: string;

const FORBIDDEN = [
  "window",
  "document",
  "WebSocket",
  "fetch",
  "requestAnimationFrame",
  "setTimeout",
  "setInterval",
];

test("rendered as idle: nothing connected, joined, scheduled or touched", () => {
  expect(version.split(".")[0]).toBe(__REACT__);
  const kept = new Map(FORBIDDEN.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]));
  const touched: string[] = [];
  for (const name of FORBIDDEN) {
    const get = () => {
      touched.push(name);
      return undefined;
    };
    Object.defineProperty(globalThis, name, { get, configurable: true });
  }
  const client = createClient({ url: "ws://127.0.0.1:1/ws" });
  let markup: string[];
  try {
    markup = [client, service].map((one) => renderToString(<ServerPage client={one} token="t" />));
  } finally {
    for (const [name, before] of kept) {
      if (before === undefined) Reflect.deleteProperty(globalThis, name);
      else Object.defineProperty(globalThis, name, before);
    }
  }
  expect(markup).toEqual([MARKUP, MARKUP]);
  expect(touched).toEqual([]);
  expect([client.state.status, client.rooms.length]).toEqual(["idle", 0]);
});
