/** On or off, at once: a row with its label on the left. */
import { useId } from "react";

export interface SwitchProps {
  label: string;
  on: boolean;
  turn: (on: boolean) => void;
}

export function Switch({ label, on, turn }: SwitchProps) {
  const id = useId();
  return (
    <div className="flex items-center justify-between gap-3 text-xs">
      <span id={id} className="text-ink-2">
        {label}
      </span>
      <button
        type="button"
        role="switch"
        aria-checked={on}
        aria-labelledby={id}
        onClick={() => turn(!on)}
        className={`relative h-6 w-10 shrink-0 rounded-full border transition-colors duration-150 ${on ? "border-brand-solid bg-brand-solid" : "border-ink-3 bg-raised"}`}
      >
        <span
          aria-hidden="true"
          className={`absolute top-[3px] left-[3px] size-4 rounded-full transition-transform duration-150 ${on ? "translate-x-4 bg-white" : "bg-ink-3"}`}
        />
      </button>
    </div>
  );
}
