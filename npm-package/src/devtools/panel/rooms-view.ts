/** The rooms: where each stands in its stream, what has yet to arrive, how late its events come. */
import type { RoomRow } from "../capture.js";
import { h } from "./dom.js";

const COLUMNS = ["Room", "State", "Offset", "Behind", "Lag", "Events", "Skipped", "Recovered", "Epoch"];

export class RoomsView {
  readonly element: HTMLElement;
  readonly #rows = h("tbody");
  readonly #empty = h("div", { class: "empty" }, "No room was joined yet.");

  constructor() {
    const heads = COLUMNS.map((name, index) =>
      h("th", { scope: "col", class: index >= 2 && index <= 6 ? "num" : "" }, name),
    );
    this.element = h(
      "div",
      { class: "body", tabindex: "0", role: "region", "aria-label": "Rooms" },
      h("table", {}, h("thead", {}, h("tr", {}, ...heads)), this.#rows),
      this.#empty,
    );
  }

  show(rooms: readonly RoomRow[]): void {
    this.#rows.replaceChildren(
      ...rooms.map(({ room, status, offset, behind, lagMs, events, skipped, recovered, epoch }) =>
        h(
          "tr",
          { "data-room": room },
          h("th", { scope: "row" }, room),
          h("td", {}, status),
          ...[offset ?? "", behind, lagMs === undefined ? "" : `${lagMs} ms`, events, skipped].map((value) =>
            h("td", { class: "num" }, String(value)),
          ),
          h("td", {}, recovered === undefined ? "" : recovered ? "yes" : "no"),
          h("td", { class: "dim" }, epoch ?? ""),
        ),
      ),
    );
    this.#empty.hidden = rooms.length > 0;
  }
}
