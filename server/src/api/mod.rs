//! The HTTP API (docs/PROTOCOL.md §9), the same on every listener.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::realtime::Handle;

mod body;
mod caller;
mod disconnect;
mod error;
mod events;
mod publish;
mod rooms;
mod status;

pub use error::ApiError;

/// Largest body, in bytes; a larger one is answered with 413.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What the calls need.
#[derive(Clone)]
struct Api {
    handle: Handle,
    /// Tells the nodes of a cluster, and the runs of one node, apart.
    node: Arc<str>,
}

/// The calls of §9 on a server's handle, with tokens checked as on `/ws`.
pub fn router(handle: Handle) -> Router {
    let api = Router::new()
        .route("/status", get(status::status))
        .route("/rooms", get(rooms::rooms))
        .route("/rooms/{room}/presence", get(rooms::presence))
        .route("/rooms/{room}/history", get(rooms::history))
        .route("/broadcast", post(publish::broadcast))
        .route("/events", post(events::events))
        .route("/disconnect", post(disconnect::disconnect))
        .fallback(error::no_such_call)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    Router::new()
        .nest("/api/ws", api)
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .with_state(Api { node: handle.shared().hub.new_id("node"), handle })
}
