//! The browser's shell around `osbackend-client-core`: a WebSocket, a timer and a loop that performs what the machine
//! asks for. All decisions are the machine's.
//!
//! Built with `wasm-bindgen --target web`; the npm package `@osbackend/realtime` is its only intended user. Frames are
//! taken apart in `js/frames.js`, where the browser's own parser is, and events reach the machine as numbers.
//!
//! No listener of the page is ever called while the machine is borrowed, so each of them may call back.

mod client;
mod decode;
mod hot;
mod js;
mod options;
mod shell;
mod types;
mod wake;

pub use client::Client;

/// A good deal smaller than the standard library's (2 KB after gzip), and as quick: constant time, merges what is freed.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
