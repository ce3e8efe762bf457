/** In the page: the SDK on a real WebSocket, and its dispatch alone beside `JSON.parse` and a call. */
import { createClient } from "/package/dist/index.js";
import { FakeSocket } from "./fake-socket.mjs";
import { frames } from "./frames.mjs";

const BATCH = 64;
/** 12,800 events a part: tens of milliseconds, far above the clock's 5 µs. */
const FRAMES = 200;
const PARTS = 9;

let received = 0;
let sum = 0;
let reached = () => {};
let expected = Number.POSITIVE_INFINITY;

/** The application's share: reads one field, as any listener does at least. */
function listener(data) {
  sum += data.benchSeq;
  received += 1;
  if (received >= expected) reached();
}

async function client(url, token, options) {
  const made = createClient({ url, ...options });
  made.on("bench_event", listener);
  made.joinRoom("agent:7");
  await made.connect(token);
  return made;
}

globalThis.connect = async ({ url, token }) => {
  await client(url, token, {});
};

/** Resolves when `count` more events have reached the listener. */
globalThis.receive = async (count) => {
  const target = (globalThis.receiveTarget ?? 0) + count;
  globalThis.receiveTarget = target;
  if (received >= target) return;
  await new Promise((resolve) => {
    expected = target;
    reached = resolve;
  });
  expected = Number.POSITIVE_INFINITY;
};

globalThis.measureDispatch = async ({ greeting, event, token }) => {
  let socket;
  const opened = (fake) => {
    socket = fake;
  };
  await client("ws://bench.invalid/ws", token, { WebSocket: FakeSocket(greeting, opened) });
  const sdk = (frame) => socket.deliver(frame);
  // The least that any client does with such a frame; it gets the same MessageEvent.
  const target = new EventTarget();
  target.addEventListener("message", ({ data }) => {
    for (const message of JSON.parse(data)) listener(message.data, message);
  });
  const bare = (frame) => target.dispatchEvent(new MessageEvent("message", { data: frame }));

  let offset = event.offset - 1;
  const nanos = (deliver) => {
    const texts = frames(event, offset, BATCH, FRAMES);
    const before = received;
    const started = performance.now();
    for (const text of texts) deliver(text);
    const took = performance.now() - started;
    const events = BATCH * FRAMES;
    if (received - before !== events) throw new Error(`${received - before} of ${events} events reached the listener`);
    return (took * 1e6) / events;
  };
  const measured = { sdk: [], bare: [] };
  for (let part = 0; part < PARTS; part++) {
    measured.bare.push(nanos(bare));
    measured.sdk.push(nanos(sdk));
    // The SDK has seen these offsets, the bare listener does not look at them.
    offset += BATCH * FRAMES;
  }
  // The first parts compile.
  const median = (values) => values.slice(2).sort((a, b) => a - b)[Math.floor((PARTS - 2) / 2)];
  const [dispatchNanos, bareNanos] = [median(measured.sdk), median(measured.bare)];
  return { dispatchNanos, bareNanos, timesBareDispatch: dispatchNanos / bareNanos, sum };
};

globalThis.ready = true;
