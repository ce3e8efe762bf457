/** A state in one or two words, and the dot that goes before one. */
import type { ReactNode } from "react";
import { BADGE, DOT, type Tone } from "./tone.ts";

export function Badge({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <span
      className={`inline-flex h-5 shrink-0 items-center gap-1.5 whitespace-nowrap rounded-full px-2 font-medium text-2xs ${BADGE[tone]}`}
    >
      {children}
    </span>
  );
}

export function Dot({ tone, live = false }: { tone: Tone; live?: boolean }) {
  return (
    <span
      aria-hidden="true"
      className={`relative inline-block size-2 shrink-0 rounded-full transition-colors duration-300 ${DOT[tone]}`}
    >
      {live && <span className="absolute inset-0 animate-pulse-dot rounded-full bg-current" />}
    </span>
  );
}
