/** A person as a round patch with initials. Decorative: the name stands beside it or in the label around it. */

/** As many as lib/viewers.ts counts; each with white letters at a contrast of 4.5 or more. */
const PATCHES = [
  "bg-[#4f46e5]",
  "bg-[#0b7285]",
  "bg-[#a4420f]",
  "bg-[#9d2463]",
  "bg-[#2b6e2f]",
  "bg-[#5b4b8a]",
];

export interface AvatarProps {
  initials: string;
  color: number;
  /** Not connected at this moment. */
  faded?: boolean;
}

export function Avatar({ initials, color, faded = false }: AvatarProps) {
  return (
    <span
      aria-hidden="true"
      className={`grid size-7 shrink-0 place-items-center rounded-full font-semibold text-2xs tracking-wide ring-2 ring-page ${faded ? "border border-line-strong bg-raised text-ink-2" : `text-white ${PATCHES[color]}`}`}
    >
      {initials}
    </span>
  );
}
