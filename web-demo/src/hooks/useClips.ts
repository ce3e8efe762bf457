/** Plays of each clip, most played first, and where the last one was played. */
import { useWebSocketRoom } from "@osbackend/realtime/react";
import { useReducer } from "react";
import { CLIPS } from "../lib/rooms.ts";

export interface Clip {
  id: string;
  plays: number;
  location?: string;
}

export interface Clips {
  clips: readonly Clip[];
  /** The clip played last, once one was played while the page was open. */
  last?: Clip;
}

interface Played {
  clip: Clip;
  live: boolean;
}

function reduce(state: Clips, { clip, live }: Played): Clips {
  const clips = [...state.clips.filter((other) => other.id !== clip.id), clip].sort((a, b) =>
    a.id.localeCompare(b.id, "en", { numeric: true }),
  );
  return live ? { clips, last: clip } : { ...state, clips };
}

export function useClips(): Clips {
  const [state, played] = useReducer(reduce, { clips: [] });
  useWebSocketRoom(CLIPS, (event) => {
    if (event.type !== "clip_played") return;
    const { clipId, plays, location } = event.data;
    played({ clip: { id: clipId, plays, ...(location ? { location } : {}) }, live: !event.snapshot });
  });
  return state;
}
