/** The module as the file beside this script; where it can't be had, the copy inside of a script. */
import { messageOf } from "../errors.js";
import { fetched } from "./fetched.js";

declare const __WASM_PATH__: string;

export async function besideScript(): Promise<WebAssembly.Module> {
  // Bundlers look for exactly this form, with a literal; the build puts one in.
  const url = new URL(__WASM_PATH__, import.meta.url);
  try {
    return await fetched(url);
  } catch (error) {
    // A bundler that moved this script without the file, a server that doesn't have it or answers with its index page.
    const module = await import("./in-script.js").then(({ inScript }) => inScript()).catch(() => undefined);
    if (module === undefined) throw error;
    // Once: from here on the module is there.
    // biome-ignore lint/suspicious/noConsole: the page works, so there is no error to tell it by.
    console.warn(`[osbackend] ${messageOf(error)}; a larger copy is used instead (${url.href})`);
    return module;
  }
}
