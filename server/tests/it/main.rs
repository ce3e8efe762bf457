//! The server from outside: sockets, the HTTP API and the binary, against docs/PROTOCOL.md.

// A test that fails says so; `clippy.toml` allows it in test functions only, and these have helpers.
#![allow(clippy::unwrap_used)]

mod support;

mod anonymous;
mod api;
mod cli;
mod custom;
mod emit;
mod fanout;
mod frames;
mod handshake;
mod leaving;
mod limits;
mod logs;
mod metrics;
mod openapi;
mod readme;
mod recovery;
mod requests;
mod rooms;
mod tokens;
