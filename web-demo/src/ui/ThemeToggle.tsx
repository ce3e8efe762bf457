/** The button between light and dark. */
import { Moon, Sun } from "lucide-react";
import { useTheme } from "../hooks/useTheme.ts";
import { IconButton } from "./Button.tsx";

export function ThemeToggle() {
  const { theme, toggle } = useTheme();
  const next = theme === "dark" ? "light" : "dark";
  const Icon = theme === "dark" ? Sun : Moon;
  return (
    <IconButton onClick={toggle} aria-label={`Use the ${next} theme`} title={`Use the ${next} theme`}>
      <Icon aria-hidden="true" size={18} strokeWidth={1.75} />
    </IconButton>
  );
}
