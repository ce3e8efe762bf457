//! The server of osbackend realtime, to embed in an axum application or to run as the binary `osbackend`.
//!
//! ```
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! use osbackend_server::Realtime;
//! let realtime = Realtime::builder().jwt_secret("a secret of at least 32 bytes, kept").build()?;
//! let handle = realtime.handle();
//! let emitted = handle.emit_metric_update("voice_call", [("active", 3.0)]).await?;
//! assert_eq!(emitted.rooms[0].offset, Some(1));
//! let _router: axum::Router = realtime.router();
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

pub mod api;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod demo_feed;
mod embedded;
pub mod engine;
pub mod gateway;
mod handle;
pub mod handlers;
mod history;
pub mod hooks;
pub mod hub;
mod legacy;
pub mod limits;
pub mod metrics;
mod private;
pub mod proxy;
pub mod publisher;
pub mod realtime;
pub mod session;
pub mod storage;
pub mod telemetry;

pub use realtime::{BuildError, Builder, Emission, Emitted, Handle, PublishError, Realtime, Stats};

/// The README's Rust is compiled with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
