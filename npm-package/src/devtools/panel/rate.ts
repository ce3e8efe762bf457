/** Events a second over the last minute, as bars. */

const NS = "http://www.w3.org/2000/svg";
const HEIGHT = 18;

export class Rate {
  readonly element: SVGSVGElement;

  constructor() {
    this.element = document.createElementNS(NS, "svg");
    this.element.setAttribute("role", "img");
    this.element.setAttribute("height", String(HEIGHT));
    this.element.setAttribute("width", "120");
    this.element.setAttribute("viewBox", `0 0 120 ${HEIGHT}`);
  }

  show(perSecond: readonly number[]): void {
    const most = Math.max(1, ...perSecond);
    this.element.setAttribute(
      "aria-label",
      `events a second: now ${perSecond.at(-2) ?? 0}, at most ${Math.max(0, ...perSecond)}`,
    );
    this.element.replaceChildren(
      ...perSecond.flatMap((count, index) => {
        if (count === 0) return [];
        const bar = document.createElementNS(NS, "rect");
        const height = Math.max(1, (count / most) * HEIGHT);
        const at = { x: index * 2, y: HEIGHT - height, width: 1.5, height };
        for (const [name, value] of Object.entries(at)) bar.setAttribute(name, String(value));
        return [bar];
      }),
    );
  }
}
