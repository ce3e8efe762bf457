/** Nothing about the package: webpack 5 finds the module by itself. */
export default {
  mode: "production",
  entry: "./src/index.js",
  output: { filename: "main.js", module: true, clean: true },
  experiments: { outputModule: true },
  performance: { hints: false },
};
