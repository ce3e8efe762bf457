/** How long a request takes to the server and back. */
import { useEffect, useState } from "react";
import { useLive } from "./useLive.ts";

const EVERY_MS = 4000;

/** Milliseconds of the last round trip; `null` while there is none. */
export function useRoundTrip(): number | null {
  const { service, state } = useLive();
  const [ms, setMs] = useState<number | null>(null);
  const connected = state.status === "connected";

  useEffect(() => {
    if (!connected) {
      setMs(null);
      return;
    }
    let current = true;
    const measure = async () => {
      const start = performance.now();
      try {
        await service.request("heartbeat", {});
        if (current) setMs(performance.now() - start);
      } catch {
        if (current) setMs(null);
      }
    };
    void measure();
    const timer = setInterval(measure, EVERY_MS);
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [service, connected]);

  return ms;
}
