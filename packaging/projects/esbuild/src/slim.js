/** The entry `./slim`, with the module as an asset of esbuild's. */
import wasm from "@osbackend/realtime/client.wasm";
import { createClient } from "@osbackend/realtime/slim";
import { live } from "./live.js";

live(createClient({ wasm: new URL(wasm, import.meta.url) }));
