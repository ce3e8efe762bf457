/** The timeline: entries that fit the filter, the newest last; each opens to its whole frame. */
import type { Entry } from "../entries.js";
import { brief, clock, h } from "./dom.js";

/** Rows at once: a browser has more trouble with ten thousand than a reader has use for. */
const ROWS = 300;
const ARROWS = { in: "↓", out: "↑", client: "•" } as const;
const NAMES = { in: "received", out: "sent", client: "client" } as const;

export class Timeline {
  readonly element: HTMLElement;
  readonly #rows = h("tbody");
  readonly #more = h("div", { class: "empty", role: "status" });
  /** By entry, not by number: those of a loaded session count from 1 as well. */
  readonly #open = new WeakSet<Entry>();
  #drawn = new Map<Entry, { row: HTMLElement; detail: HTMLElement | undefined }>();

  constructor() {
    this.element = h(
      "div",
      { class: "body", tabindex: "0", role: "region", "aria-label": "Timeline" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "Time"),
            h("th", { scope: "col", title: "Direction" }, "Dir"),
            h("th", { scope: "col" }, "Type"),
            h("th", { scope: "col" }, "Room"),
            h("th", { scope: "col", class: "num" }, "Offset"),
            h("th", { scope: "col", class: "wide" }, "Content"),
            h("th", { scope: "col", class: "num wide" }, "Size"),
          ),
        ),
        this.#rows,
      ),
      this.#more,
    );
  }

  /** Shows these; stays at the end where the reader was there. */
  show(entries: readonly Entry[], total: number): void {
    const { element } = this;
    const atEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 24;
    const shown = entries.slice(-ROWS);
    // Rows of entries that are still shown stay: a click must not lose its target.
    const before = this.#drawn;
    this.#drawn = new Map(
      shown.map((entry) => [entry, before.get(entry) ?? { row: this.#row(entry), detail: undefined }]),
    );
    const rows = [...this.#drawn].flatMap(([entry, drawn]) => {
      if (!this.#open.has(entry)) return [drawn.row];
      drawn.detail ??= this.#detail(entry);
      return [drawn.row, drawn.detail];
    });
    this.#rows.replaceChildren(...rows);
    const hidden = entries.length - shown.length;
    this.#more.textContent =
      total === 0
        ? "Nothing yet: frames and states appear here as they come."
        : entries.length === 0
          ? `None of ${total} entries fits the filter.`
          : hidden > 0
            ? `${hidden} older ones are not shown; search, or save the session.`
            : "";
    this.#more.hidden = this.#more.textContent === "";
    if (atEnd) element.scrollTop = element.scrollHeight;
  }

  #row(entry: Entry): HTMLElement {
    const { n, at, direction, type, room, offset, size, frame } = entry;
    const button = h(
      "button",
      {
        class: "type",
        type: "button",
        "aria-expanded": String(this.#open.has(entry)),
        onclick: () => {
          const open = !this.#open.has(entry);
          button.setAttribute("aria-expanded", String(open));
          const drawn = this.#drawn.get(entry);
          if (open) {
            this.#open.add(entry);
            const detail = this.#detail(entry);
            if (drawn !== undefined) drawn.detail = detail;
            row.after(detail);
          } else {
            this.#open.delete(entry);
            drawn?.detail?.remove();
            if (drawn !== undefined) drawn.detail = undefined;
          }
        },
      },
      type,
    );
    const content = (frame as { data?: unknown; payload?: unknown } | null)?.data;
    const row = h(
      "tr",
      { "data-n": String(n), "data-direction": direction, "data-type": type },
      h("td", { class: "dim" }, clock(at)),
      h("td", { role: "img", "aria-label": NAMES[direction], title: NAMES[direction] }, ARROWS[direction]),
      h("td", {}, button),
      h("td", {}, room ?? ""),
      h("td", { class: "num" }, offset === undefined ? "" : String(offset)),
      h(
        "td",
        { class: "what wide" },
        brief(content ?? (frame as { payload?: unknown } | null)?.payload ?? frame),
      ),
      h("td", { class: "num wide" }, size === 0 ? "" : String(size)),
    );
    return row;
  }

  #detail({ n, frame }: Entry): HTMLElement {
    return h(
      "tr",
      { "data-n": `${n} open` },
      h("td", { colspan: "7" }, h("pre", { tabindex: "0" }, JSON.stringify(frame, null, 2))),
    );
  }
}
