//! The server from outside: sockets, the HTTP API and the binary, against docs/PROTOCOL.md.

// A test that fails says so; `clippy.toml` allows it in test functions only, and these have helpers.
#![allow(clippy::unwrap_used)]

mod support;

mod admission;
mod anonymous;
mod answers;
mod api;
mod api_keys;
mod api_limits;
mod cli;
mod cli_emit;
mod cli_listen;
mod cli_load;
mod cli_status;
mod client_address;
mod custom;
mod durable;
mod emit;
mod fanout;
mod frames;
mod gateway;
mod handover;
mod handshake;
mod hardening;
mod jwks;
mod leaving;
mod legacy;
mod limits;
mod live_tokens;
mod logs;
mod metrics;
mod native_client;
mod openapi;
mod origins;
mod policy;
mod presence;
mod prompt_close;
mod readme;
mod recovery;
mod remote_check;
mod requests;
mod resume;
mod rooms;
mod slow;
mod stopping;
mod stored_metrics;
mod supabase;
mod tls;
mod tokens;
mod webhooks;
