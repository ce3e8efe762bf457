/** Starts Swagger UI on this server's own document. */
// By its system's setting, like the demo's page; Swagger UI's own dark colours hang on this class.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

window.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  // Nothing is sent to a validator elsewhere.
  validatorUrl: null,
});
