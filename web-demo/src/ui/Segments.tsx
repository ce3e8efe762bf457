/** One of a few, side by side: radio buttons that look like a switch. */
import { useId } from "react";

export interface SegmentsProps {
  /** What is chosen, for who can't see it. */
  legend: string;
  options: readonly string[];
  chosen: number;
  choose: (index: number) => void;
}

export function Segments({ legend, options, chosen, choose }: SegmentsProps) {
  const name = useId();
  return (
    <fieldset className="flex min-w-0 rounded-lg bg-raised p-0.5">
      <legend className="sr-only">{legend}</legend>
      {options.map((option, index) => (
        <label
          key={option}
          className="relative cursor-pointer whitespace-nowrap rounded-md px-2.5 py-1 font-medium text-ink-2 text-xs transition-colors hover:text-ink has-checked:bg-chosen has-checked:text-ink has-checked:shadow-sm has-focus-visible:outline-2 has-focus-visible:outline-brand"
        >
          <input
            type="radio"
            name={name}
            className="sr-only"
            checked={index === chosen}
            onChange={() => choose(index)}
          />
          {option}
        </label>
      ))}
    </fieldset>
  );
}
