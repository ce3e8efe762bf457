//! The server of osbackend realtime, to embed in an axum application or to run as the binary `osbackend`.

pub mod auth;
pub mod config;
pub mod limits;
