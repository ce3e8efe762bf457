/** What the page has shown, one after the other, even what it showed for a moment only. */

declare global {
  interface Window {
    /** `status=`, `verdict=` and `banner=` with what was shown, oldest first. */
    trail: string[];
  }
}

/** Runs in the page before anything of it. */
export function keepTrail(): void {
  const trail: string[] = [];
  window.trail = trail;
  const shown = new Map<string, string>();
  const note = (name: string, value: string | null | undefined) => {
    if (value === null || value === undefined || shown.get(name) === value) return;
    shown.set(name, value);
    trail.push(`${name}=${value}`);
  };
  const look = () => {
    note("status", document.querySelector('[data-testid="status"]')?.getAttribute("data-status"));
    note("verdict", document.querySelector('[data-testid="outage"]')?.getAttribute("data-verdict"));
    note("banner", document.querySelector('[data-testid="banner"] p + p')?.textContent ?? "");
  };
  new MutationObserver(look).observe(document, {
    subtree: true,
    childList: true,
    characterData: true,
    attributeFilter: ["data-status", "data-verdict"],
  });
}
