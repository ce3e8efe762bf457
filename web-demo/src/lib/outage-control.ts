/** Asks `cargo xtask demo` to kill the server under the page, and to start it again after a while. */

/** Fails with a sentence for people. `control` is the address that the session told. */
export async function killServer(control: string, downMs: number): Promise<void> {
  const response = await fetch(`${control}/kill?downMs=${downMs}`, { method: "POST" }).catch(() => {
    throw new Error("cargo xtask demo doesn't answer: is it still running?");
  });
  if (!response.ok) throw new Error(`cargo xtask demo refused (${response.status})`);
}
