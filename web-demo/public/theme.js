/** Applies the theme that the visitor chose before, so that the first paint already has it. */
try {
  const chosen = localStorage.getItem("osbackend-demo-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is blocked: the system's preference holds.
}
