//! The client's side of a connection as a state machine without I/O and without a clock.
//!
//! A shell (the browser's is `client-wasm`, a native one is built on [`driver`]) feeds [`Machine::handle`] with what
//! happened and the time, performs what [`Machine::poll_output`] asks for, and calls again no later than
//! [`Machine::next_deadline`]. Events take the short way, [`Machine::on_event`], with scalars only.
//!
//! This crate knows nothing of sockets, timers, threads, browsers or random devices: time is a `u64` of milliseconds
//! since any fixed moment, and the seed of the jitter is an input. The same inputs give the same outputs.

mod backoff;
pub mod config;
pub mod control;
mod deadlines;
pub mod driver;
mod frames;
mod leaves;
mod machine;
mod pending;
mod publish;
mod rates;
mod refusals;
mod room;
mod rooms;
pub mod state;

pub use backoff::Rng;
pub use config::{BackoffConfig, Config};
pub use control::Control;
pub use machine::{Input, Machine, Output};
pub use pending::{Failure, Settled};
pub use publish::{Lane, Publish};
pub use room::{Delivery, RoomKey, RoomState, RoomStatus};
pub use state::ConnectionState;
