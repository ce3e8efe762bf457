/** An event's name is whatever its publisher chose: none of them disturbs a client, in neither mode. */
import { expect, onTestFinished, test } from "vitest";
import { createClient } from "../src/index.js";
import { createFakeServer } from "../src/testing/index.js";

const NAMES = ["constructor", "__proto__", "toString", "hasOwnProperty", "state", "error", "*", "fine"];

test.each(["strict", "off"] as const)(
  "names of Object.prototype and of the client itself arrive as any other: %s",
  async (validate) => {
    const server = createFakeServer();
    const client = createClient({ url: server.url, WebSocket: server.WebSocket, validate, validators: {} });
    onTestFinished(() => client.disconnect());
    const heard: string[] = [];
    const errors: unknown[] = [];
    client.on("error", (error) => errors.push(error));
    client.joinRoom("agent:7").on("*", (event) => heard.push(event.type));
    await client.connect("ann");
    for (const name of NAMES) server.publish("agent:7", name, { x: 1 });
    await server.settled();
    expect(heard).toEqual(NAMES);
    expect(errors).toEqual([]);
  },
);
