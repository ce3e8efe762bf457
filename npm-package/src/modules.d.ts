/** Modules that the build makes: the module as text, for bundlers that lose the file. */
declare module "virtual:client-wasm-inline" {
  const base64: string;
  export default base64;
}
