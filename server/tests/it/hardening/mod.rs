//! Attacks, each a named case: it gets the code that docs/PROTOCOL.md says, and the others go on undisturbed.

mod doors;
mod framing;
mod messages;
