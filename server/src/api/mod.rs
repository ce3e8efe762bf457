//! The HTTP API (docs/PROTOCOL.md §9), the same on every listener.

use std::{sync::Arc, time::Duration};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use ipnet::IpNet;

use crate::auth::api_key::ApiKeys;
use crate::auth::origin::OriginPolicy;
use crate::realtime::Handle;
use crate::telemetry;

mod body;
mod caller;
mod cors;
mod disconnect;
mod draining;
mod error;
mod events;
mod limits;
mod metrics;
mod openapi;
mod publish;
mod query;
mod rooms;
mod status;

pub use error::ApiError;
pub(crate) use limits::{CallLimits, charge_scrape};

use limits::Anyone;

/// Largest body, in bytes; a larger one is answered with 413.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What the calls need.
#[derive(Clone)]
struct Api {
    handle: Handle,
    keys: ApiKeys,
    limits: CallLimits,
    /// For a body, from the request's head to the body's end; `None`: no limit.
    body_timeout: Option<Duration>,
    /// Tells the nodes of a cluster, and the runs of one node, apart.
    node: Arc<str>,
}

/// Every call with its method and path: the router is made of them, and the document is compared with them.
fn calls() -> [(&'static str, &'static str, MethodRouter<Api>); 15] {
    [
        ("get", "/api/ws/status", get(status::status)),
        ("get", "/api/ws/rooms", get(rooms::rooms)),
        ("get", "/api/ws/rooms/{room}/presence", get(rooms::presence)),
        ("get", "/api/ws/rooms/{room}/history", get(rooms::history)),
        ("get", "/api/ws/metrics", get(metrics::metrics)),
        ("post", "/api/ws/broadcast", post(publish::broadcast)),
        ("post", "/api/ws/events", post(events::events)),
        ("post", "/api/ws/disconnect", post(disconnect::disconnect)),
        ("get", "/healthz", get(status::healthz)),
        ("get", "/readyz", get(status::readyz)),
        ("get", "/openapi.json", get(openapi::document)),
        ("get", "/openapi", get(openapi::page)),
        ("get", "/openapi/page.js", get(openapi::script)),
        ("get", "/openapi/swagger-ui-bundle.js", get(openapi::viewer_script)),
        ("get", "/openapi/swagger-ui.css", get(openapi::viewer_style)),
    ]
}

/// Who may call, how often, and how slowly.
pub(crate) struct Options {
    /// Backends.
    pub(crate) keys: ApiKeys,
    /// Pages.
    pub(crate) origins: OriginPolicy,
    /// Peers that may tell the host that a page asked for.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    /// Of callers by token and by none.
    pub(crate) limits: CallLimits,
    /// A body that isn't there after this time is answered with 408; `None`: no limit.
    pub(crate) body_timeout: Option<Duration>,
}

/// The calls of §9 on a server's handle, with tokens checked as on `/ws`.
pub(crate) fn router(handle: Handle, options: Options) -> Router {
    let Options { keys, origins, trusted_proxies, limits, body_timeout } = options;
    // What is under `/api/ws` and no call is answered in the form of §9; the rest of the paths is an application's own.
    let fallback = Router::<Api>::new().fallback(error::no_such_call);
    let router = calls().into_iter().fold(Router::new(), |router, (method, path, call)| {
        let allowed = method.to_ascii_uppercase();
        let wrong_method = move |_: Anyone| async move { error::wrong_method(&allowed) };
        router.route(path, call.fallback(wrong_method).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)))
    });
    router
        .nest("/api/ws", fallback)
        .layer(from_fn_with_state(handle.clone(), draining::refuse))
        .layer(from_fn_with_state((handle.clone(), limits.clone()), telemetry::http::observe))
        .layer(cors::layer(origins, trusted_proxies))
        .with_state(Api { node: handle.shared().hub.new_id("node"), handle, keys, limits, body_timeout })
}
