/** A connection state in a few words and a tone. Pure. */
import type { ConnectionState } from "@osbackend/realtime";
import type { Tone } from "../ui/tone.ts";

export interface StatusText {
  tone: Tone;
  label: string;
  /** The same where there is little room. */
  short?: string;
}

/** `now` in milliseconds since 1970, for the countdown. */
export function statusText(state: ConnectionState, now: number): StatusText {
  switch (state.status) {
    case "connected":
      return { tone: "good", label: "Live" };
    case "reconnecting": {
      const seconds = Math.ceil(((state.retryAtMs ?? now) - now) / 1000);
      if (seconds <= 0) return { tone: "warn", label: "Reconnecting" };
      return { tone: "warn", label: `Reconnecting in ${seconds} s`, short: `Retry in ${seconds} s` };
    }
    case "connecting":
      return state.attempt > 1
        ? { tone: "warn", label: "Reconnecting" }
        : { tone: "idle", label: "Connecting" };
    case "closed":
      return { tone: "bad", label: "Disconnected" };
    default:
      return { tone: "idle", label: "Starting" };
  }
}
