/** A titled surface: the frame of every panel. */
import { type ReactNode, useId } from "react";

export interface CardProps {
  title: string;
  /** Right of the title. */
  aside?: ReactNode;
  className?: string;
  id?: string;
  children: ReactNode;
}

export function Card({ title, aside, className = "", id, children }: CardProps) {
  const heading = useId();
  return (
    <section
      id={id}
      aria-labelledby={heading}
      className={`flex min-w-0 flex-col rounded-2xl border border-line bg-surface shadow-[0_1px_2px_var(--shadow),0_8px_24px_-12px_var(--shadow)] ${className}`}
    >
      <header className="flex min-h-13 flex-wrap items-center justify-between gap-x-4 gap-y-2 px-4 pt-3.5 pb-2 sm:px-5">
        <h2 id={heading} className="font-semibold text-[0.9375rem] tracking-[-0.01em]">
          {title}
        </h2>
        {aside}
      </header>
      <div className="flex min-h-0 grow flex-col px-4 pb-4 sm:px-5 sm:pb-5">{children}</div>
    </section>
  );
}

/** What a panel says while it has nothing to show. */
export function Empty({ children }: { children: ReactNode }) {
  return (
    <p className="grid grow place-items-center rounded-xl border border-line border-dashed px-4 py-6 text-center text-ink-3 text-sm">
      {children}
    </p>
  );
}
