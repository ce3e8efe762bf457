/** `@osbackend/realtime/devtools`: what a client does, to look at, search, record and play again. Only in bundles that import it. */
export { RealtimeDevtools, type RealtimeDevtoolsProps } from "./component.js";
export { type DevtoolsOptions, mountDevtools } from "./mount.js";
export { createReplay, type Replay, type ReplayOptions } from "./replay.js";
export { SessionFileError } from "./session-file.js";
