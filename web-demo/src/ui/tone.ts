/** The five tones of a state, as the classes of its dot, text and badge. */

export type Tone = "good" | "warn" | "bad" | "idle" | "brand";

export const DOT: Record<Tone, string> = {
  good: "bg-good-dot text-good-dot",
  warn: "bg-warn-dot text-warn-dot",
  bad: "bg-bad-dot text-bad-dot",
  idle: "bg-idle-dot text-idle-dot",
  brand: "bg-brand text-brand",
};

export const BADGE: Record<Tone, string> = {
  good: "bg-good-soft text-good",
  warn: "bg-warn-soft text-warn",
  bad: "bg-bad-soft text-bad",
  idle: "bg-raised text-ink-2",
  brand: "bg-brand-soft text-brand",
};

export const TEXT: Record<Tone, string> = {
  good: "text-good",
  warn: "text-warn",
  bad: "text-bad",
  idle: "text-ink-3",
  brand: "text-brand",
};
