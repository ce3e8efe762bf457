/** Whether the tabs of this browser share one connection: chosen in one tab, followed by all. */
import { useCallback, useSyncExternalStore } from "react";

const KEY = "osbackend-demo-share";
const listeners = new Set<() => void>();
/** Where storage is blocked, the choice is this tab's, until it is left. */
let chosen: boolean | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener("storage", listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("storage", listener);
  };
}

function current(): boolean {
  try {
    return localStorage.getItem(KEY) === "yes";
  } catch {
    return chosen ?? false;
  }
}

export function useSharing(): { shared: boolean; share: (on: boolean) => void } {
  const shared = useSyncExternalStore(subscribe, current);
  const share = useCallback((on: boolean) => {
    chosen = on;
    try {
      localStorage.setItem(KEY, on ? "yes" : "no");
    } catch {
      // See above.
    }
    for (const listener of listeners) listener();
  }, []);
  return { shared, share };
}
