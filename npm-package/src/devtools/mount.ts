/** Puts the devtools into a page. */
import { RealtimeClient } from "../client.js";
import { newest } from "../inspect.js";
import { Capture } from "./capture.js";
import { Panel } from "./panel/panel.js";

/** What may be said about the devtools. */
export interface DevtoolsOptions {
  /** The client to look into; left out, the one that connected last, or connects next. */
  client?: RealtimeClient;
  /** The element to be inside of; left out, the panel lies on the lower edge of the page. */
  container?: Element;
  /** Whether the panel is open at first; false. */
  open?: boolean;
  /** As the system, where it is left out. */
  theme?: "light" | "dark";
  /** Entries that are kept; 5000. */
  limit?: number;
}

/** Shows the devtools until what it gives back is called. Without React, and in any framework. */
export function mountDevtools(options: DevtoolsOptions = {}): () => void {
  let end = () => {};
  const show = (client: RealtimeClient) => {
    const capture = new Capture(client, options.limit);
    const { container, open = false, theme } = options;
    const panel = new Panel(capture, { open, theme, inside: container !== undefined });
    (container ?? document.body).append(panel.element);
    end = () => {
      panel.remove();
      capture.stop();
    };
  };
  const client = options.client ?? newest.client;
  if (client instanceof RealtimeClient) {
    show(client);
  } else {
    newest.connected = (connecting) => {
      newest.connected = undefined;
      if (connecting instanceof RealtimeClient) show(connecting);
    };
    end = () => {
      newest.connected = undefined;
    };
  }
  return () => end();
}
