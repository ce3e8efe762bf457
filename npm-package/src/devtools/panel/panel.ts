/** The panel: a badge that opens it, its head, the filter, and one of its views. */
import type { Capture } from "../capture.js";
import { type Direction, type Entry, fits } from "../entries.js";
import { fromNdjson, toNdjson } from "../session-file.js";
import { h } from "./dom.js";
import { Rate } from "./rate.js";
import { RoomsView } from "./rooms-view.js";
import { STYLES } from "./styles.js";
import { Timeline } from "./timeline.js";

/** How the panel begins. */
export interface PanelOptions {
  open: boolean;
  theme: "light" | "dark" | undefined;
  /** Inside of an element of the page, in place of the page's lower edge. */
  inside: boolean;
}

type View = "timeline" | "rooms";

/** Between two pictures, in milliseconds. */
const PAINT_MS = 200;

export class Panel {
  readonly element: HTMLElement;
  readonly #capture: Capture;
  readonly #timeline = new Timeline();
  readonly #rooms = new RoomsView();
  readonly #rate = new Rate();
  readonly #dots = [dot(), dot()] as const;
  readonly #status = h("span", { class: "dim" });
  readonly #alert = h("div", { class: "alert", role: "alert", hidden: true });
  readonly #file = h("input", {
    type: "file",
    accept: ".ndjson",
    hidden: true,
    onchange: () => this.#load(),
  });
  readonly #search = h("input", {
    type: "search",
    placeholder: "Search: words, -without",
    "aria-label": "Search the timeline",
    oninput: () => this.#paint(),
  });
  readonly #hideHeartbeats = h("input", { type: "checkbox", checked: true, onchange: () => this.#paint() });
  readonly #directions = new Set<Direction>(["in", "out", "client"]);
  readonly #badge: HTMLElement;
  readonly #panel: HTMLElement;
  readonly #tools: HTMLElement;
  readonly #tabs: Record<View, HTMLElement>;
  #view: View = "timeline";
  #open: boolean;
  /** What a paused reader, or one of a loaded session, sees. */
  #held: readonly Entry[] | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #end: () => void;

  constructor(capture: Capture, options: PanelOptions) {
    this.#capture = capture;
    this.#open = options.open;
    this.#badge = h(
      "button",
      {
        class: "badge",
        type: "button",
        "aria-label": "Open the realtime devtools",
        onclick: () => this.#toggle(true),
      },
      this.#dots[0],
      "realtime",
    );
    const tab = (view: View, text: string) =>
      h("button", { type: "button", role: "tab", onclick: () => this.#show(view) }, text);
    this.#tabs = { timeline: tab("timeline", "Timeline"), rooms: tab("rooms", "Rooms") };
    const pause = h(
      "button",
      {
        type: "button",
        "aria-pressed": "false",
        onclick: () => {
          this.#hold(this.#held === undefined ? [...capture.entries] : undefined);
        },
      },
      "Pause",
    );
    this.#pause = pause;
    this.#tools = h(
      "div",
      { class: "tools" },
      this.#search,
      ...(["in", "out", "client"] as const).map((direction) => this.#directionButton(direction)),
      h("label", {}, this.#hideHeartbeats, "no heartbeats"),
      pause,
      h("button", { type: "button", onclick: () => this.#clear() }, "Clear"),
      h("button", { type: "button", onclick: () => this.#save() }, "Save session"),
      h("button", { type: "button", onclick: () => this.#file.click() }, "Load session"),
      this.#file,
    );
    this.#panel = h(
      "section",
      { class: "panel", "aria-label": "Realtime devtools" },
      h(
        "div",
        { class: "head" },
        this.#dots[1],
        h("strong", {}, "Realtime"),
        this.#status,
        h("span", { class: "space" }),
        this.#rate.element,
        h("span", { role: "tablist", "aria-label": "Views" }, this.#tabs.timeline, " ", this.#tabs.rooms),
        h(
          "button",
          { type: "button", "aria-label": "Close the realtime devtools", onclick: () => this.#toggle(false) },
          "✕",
        ),
      ),
      this.#tools,
      this.#alert,
      this.#timeline.element,
      this.#rooms.element,
    );
    const root = h(
      "div",
      { class: "root", "data-theme": options.theme, "data-inside": options.inside },
      this.#badge,
      this.#panel,
    );
    this.element = h("div", { "data-osbackend-devtools": true });
    const shadow = this.element.attachShadow({ mode: "open" });
    shadow.append(h("style", {}, STYLES), root);
    this.#end = capture.follow(() => this.#later());
    this.#show("timeline");
    this.#toggle(options.open);
  }

  readonly #pause: HTMLElement;

  /** Takes it out of the page. */
  remove(): void {
    this.#end();
    clearTimeout(this.#timer);
    this.element.remove();
  }

  #directionButton(direction: Direction): HTMLElement {
    const names = { in: "↓ received", out: "↑ sent", client: "• client" };
    const button = h(
      "button",
      {
        type: "button",
        "aria-pressed": "true",
        onclick: () => {
          if (!this.#directions.delete(direction)) this.#directions.add(direction);
          button.setAttribute("aria-pressed", String(this.#directions.has(direction)));
          this.#paint();
        },
      },
      names[direction],
    );
    return button;
  }

  #toggle(open: boolean): void {
    this.#open = open;
    this.#badge.hidden = open;
    this.#badge.style.display = open ? "none" : "";
    this.#panel.style.display = open ? "" : "none";
    this.#paint();
  }

  #show(view: View): void {
    this.#view = view;
    for (const [name, tab] of Object.entries(this.#tabs))
      tab.setAttribute("aria-selected", String(name === view));
    this.#timeline.element.style.display = view === "timeline" ? "" : "none";
    this.#tools.style.display = view === "timeline" ? "" : "none";
    this.#rooms.element.style.display = view === "rooms" ? "" : "none";
    this.#paint();
  }

  #hold(entries: readonly Entry[] | undefined, text = "Resume"): void {
    this.#held = entries;
    this.#pause.setAttribute("aria-pressed", String(entries !== undefined));
    this.#pause.textContent = entries === undefined ? "Pause" : text;
    this.#paint();
  }

  #clear(): void {
    this.#capture.clear();
    this.#hold(undefined);
  }

  #save(): void {
    const text = toNdjson(this.#held ?? this.#capture.entries);
    const url = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }));
    const name = `session-${new Date().toISOString().replaceAll(":", "-")}.ndjson`;
    h("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  async #load(): Promise<void> {
    const [file] = this.#file.files ?? [];
    if (file === undefined) return;
    this.#alert.hidden = true;
    try {
      this.#hold(fromNdjson(await file.text()), "Back to now");
    } catch (error) {
      this.#alert.textContent = `${file.name}: ${error instanceof Error ? error.message : String(error)}`;
      this.#alert.hidden = false;
    }
    this.#file.value = "";
  }

  /** A burst is one picture. */
  #later(): void {
    this.#timer ??= setTimeout(() => this.#paint(), PAINT_MS);
  }

  #paint(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { state, client } = this.#capture;
    for (const one of this.#dots) one.dataset.status = state.status;
    if (!this.#open) return;
    this.#status.textContent = statusText(state.status, client.clientId);
    const perSecond = this.#capture.rate();
    this.#rate.show(perSecond);
    if (this.#view === "rooms") {
      this.#rooms.show(this.#capture.rooms());
    } else {
      const filter = {
        search: this.#search.value,
        directions: this.#directions,
        hideHeartbeats: this.#hideHeartbeats.checked,
      };
      const all = this.#held ?? this.#capture.entries;
      this.#timeline.show(
        all.filter((entry) => fits(entry, filter)),
        all.length,
      );
    }
    // The bars move on although nothing comes.
    if (perSecond.some((count) => count > 0)) this.#timer = setTimeout(() => this.#paint(), 1000);
  }
}

function dot(): HTMLElement {
  return h("span", { class: "dot", "aria-hidden": "true" });
}

function statusText(status: string, clientId: string | undefined): string {
  return clientId === undefined ? status : `${status} · ${clientId}`;
}
