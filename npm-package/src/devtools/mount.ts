/** Puts the devtools into a page. */
import { RealtimeClient } from "../client.js";
import { type Inspectable, newest } from "../inspect.js";
import { Capture } from "./capture.js";
import { Panel } from "./panel/panel.js";

/** What may be said about the devtools. */
export interface DevtoolsOptions {
  /** The client to look into; left out, the one that connected last, or connects next. */
  client?: RealtimeClient | undefined;
  /** The element to be inside of; left out, the panel lies on the lower edge of the page. */
  container?: Element | undefined;
  /** Whether the panel is open at first; false. */
  open?: boolean | undefined;
  /** As the system, where it is left out. */
  theme?: "light" | "dark" | undefined;
  /** Entries that are kept; 5000. */
  limit?: number | undefined;
  /**
   * Names of fields whose values are never shown or recorded, in any case and at any depth, beside those that are left out
   * anyway: passwords, secrets, tokens, keys, cookies and the like.
   */
  redact?: readonly string[] | undefined;
}

/** Those that wait for a client: any number, none in the place of another. */
const waiting = new Set<(client: Inspectable) => void>();

/** Calls `show` with the client that connects next. Gives back what ends the wait. */
function whenConnected(show: (client: RealtimeClient) => void): () => void {
  const told = (connecting: Inspectable) => {
    waiting.delete(told);
    if (connecting instanceof RealtimeClient) show(connecting);
  };
  waiting.add(told);
  newest.connected = (connecting) => {
    for (const one of [...waiting]) one(connecting);
  };
  return () => {
    waiting.delete(told);
  };
}

/** Shows the devtools until what it gives back is called. Without React, and in any framework. */
export function mountDevtools(options: DevtoolsOptions = {}): () => void {
  let end = () => {};
  const show = (client: RealtimeClient) => {
    const capture = new Capture(client, options);
    const { container, open = false, theme } = options;
    const panel = new Panel(capture, { open, theme, inside: container !== undefined });
    (container ?? document.body).append(panel.element);
    end = () => {
      panel.remove();
      capture.stop();
    };
  };
  const client = options.client ?? newest.client;
  if (client instanceof RealtimeClient) show(client);
  else end = whenConnected(show);
  return () => end();
}
