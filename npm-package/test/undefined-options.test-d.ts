/** Under `exactOptionalPropertyTypes` an option may be what an application has, which often is "perhaps". */
import { test } from "vitest";
import { mountDevtools, type RealtimeDevtoolsProps } from "../src/devtools/index.js";
import { type ClientOptions, createClient } from "../src/index.js";
import type { RealtimeProviderProps, RoomOptions, RoomStateOptions } from "../src/react/index.js";
import { createBackend, type EmitOptions, type VerifyOptions } from "../src/server/index.js";
import { createFakeServer } from "../src/testing/index.js";

test("every option may be undefined, which is as leaving it out", () => {
  const url = process.env.REALTIME_URL;
  const number = url?.length;
  const backoff = { initialMs: number, maxMs: number, attempts: number };
  const options: ClientOptions = {
    url,
    backoff,
    queueLimit: number,
    validators: undefined,
    validate: undefined,
  };
  const client = createClient(options);
  client.joinRoom("agent:7", { snapshot: undefined });
  client.emit(
    "agent:7",
    "clip_played",
    { clipId: "1", plays: 1 },
    { idempotencyKey: url, timeoutMs: number },
  );
  client.request("metrics:get", { type: "calls" }, { timeoutMs: number });
  const provider: RealtimeProviderProps = { client: undefined, options: undefined };
  const keyed: RoomStateOptions = { key: url, keyBy: undefined };
  const room: RoomOptions = { snapshot: undefined };
  mountDevtools({ client: undefined, limit: number });
  const props: RealtimeDevtoolsProps = { theme: undefined, container: undefined };
  const emit: EmitOptions = { idempotencyKey: url };
  const verify: VerifyOptions = { seen: undefined, toleranceSeconds: number };
  createBackend({ url, apiKey: process.env.KEY, onError: undefined });
  createFakeServer({ user: undefined, allow: undefined, metrics: undefined });
  return [provider, keyed, room, props, emit, verify];
});
