//! The server from outside: sockets, the HTTP API and the binary, against docs/PROTOCOL.md.

// A test that fails says so; `clippy.toml` allows it in test functions only, and these have helpers.
#![allow(clippy::unwrap_used)]

mod support;

mod anonymous;
mod api;
mod cli;
mod cli_emit;
mod cli_listen;
mod cli_load;
mod cli_status;
mod custom;
mod emit;
mod fanout;
mod frames;
mod gateway;
mod handshake;
mod leaving;
mod legacy;
mod limits;
mod logs;
mod metrics;
mod native_client;
mod openapi;
mod policy;
mod readme;
mod recovery;
mod requests;
mod rooms;
mod stopping;
mod stored_metrics;
mod tls;
mod tokens;
