/** How long what a component held outlives it. */

/**
 * Milliseconds. StrictMode mounts twice, and a change of page unmounts what the next page mounts again:
 * neither may cost a new socket or a new join.
 */
export const GRACE_MS = 500;
