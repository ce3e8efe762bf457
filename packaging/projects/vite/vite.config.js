/** Nothing about the package: its documentation asks for no setting. */
import { defineConfig } from "vite";

export default defineConfig({
  build: { rolldownOptions: { input: ["index.html", "inline.html", "slim.html"] } },
});
