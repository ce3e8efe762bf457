/** The buttons: solid for the one thing a form does, quiet for the rest. */
import type { ComponentProps } from "react";

const KIND = {
  solid: "bg-brand-solid text-white hover:brightness-110 disabled:bg-raised disabled:text-ink-3",
  quiet:
    "border border-line-strong bg-surface text-ink hover:bg-raised disabled:border-line disabled:bg-surface disabled:text-ink-3",
} as const;

export interface ButtonProps extends ComponentProps<"button"> {
  kind?: keyof typeof KIND;
}

export function Button({ kind = "quiet", className = "", type = "button", ...rest }: ButtonProps) {
  return (
    <button
      type={type}
      className={`inline-flex h-9 shrink-0 items-center justify-center gap-2 whitespace-nowrap rounded-lg px-3 font-medium text-sm transition [&_svg]:shrink-0 duration-150 active:translate-y-px ${KIND[kind]} ${className}`}
      {...rest}
    />
  );
}

export function IconButton({ className = "", type = "button", ...rest }: ComponentProps<"button">) {
  return (
    <button
      type={type}
      className={`inline-grid size-9 shrink-0 place-items-center rounded-lg text-ink-2 transition-colors duration-150 hover:bg-raised hover:text-ink ${className}`}
      {...rest}
    />
  );
}

/** Text fields and selects share their looks with the buttons beside them. */
export const FIELD =
  "h-9 min-w-0 rounded-lg border border-line-strong bg-surface px-3 text-sm text-ink placeholder:text-ink-3 transition-colors hover:border-ink-3 disabled:bg-raised";
