/** The page's line to the server, held by a test: an outage then ends when the test says so, however busy the machine is. */
import type { Page } from "playwright-core";

export class Line {
  #held = false;

  /** For `DemoPage.open`. */
  readonly prepare = async (page: Page): Promise<void> => {
    await page.routeWebSocket(/\/ws/, async (socket) => {
      if (this.#held) await socket.close({ code: 4000, reason: "held_by_test" });
      else socket.connectToServer();
    });
  };

  /** From now on no new connection comes through; those that are open stay. */
  hold(): void {
    this.#held = true;
  }

  /** The page's next attempt comes through. */
  release(): void {
    this.#held = false;
  }
}
