//! `/metrics`, its own listener where one is asked for, and a line and a count for every request of the HTTP API.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;

use super::prometheus::CONTENT_TYPE;
use crate::realtime::Handle;

/// Longer paths are logged up to here, in bytes.
const MAX_LOGGED_PATH: usize = 256;

/// `METRICS_ADDR` could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address} (METRICS_ADDR): {source}")]
pub struct MetricsBindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

/// `/metrics` of one server.
pub fn router(handle: &Handle) -> Router {
    let exposition = Arc::new(handle.exposition());
    let answer = move || {
        let exposition = exposition.clone();
        async move { ([(header::CONTENT_TYPE, CONTENT_TYPE)], exposition.text()) }
    };
    Router::new().route("/metrics", get(answer))
}

/// Takes the address for a listener that answers `/metrics` only.
///
/// # Errors
/// It is in use or not allowed.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, MetricsBindError> {
    TcpListener::bind(address).await.map_err(|source| MetricsBindError { address, source })
}

/// Answers `/metrics` until the process ends: a scrape during a drain tells how it goes.
pub async fn serve(listener: TcpListener, handle: Handle) {
    if let Err(error) = axum::serve(listener, router(&handle)).await {
        tracing::error!(%error, "the metrics listener ended");
    }
}

/// Counts and logs a request: method, path without its query (which may hold a token), status and milliseconds.
pub(crate) async fn observe(State(handle): State<Handle>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = route(&request);
    let path = logged_path(request.uri().path()).to_owned();
    let response = next.run(request).await;
    let status = response.status();
    let ms = began.elapsed().as_secs_f64() * 1000.0;
    // What asks every few seconds all day is of no interest while it is answered well.
    if matches!(route.as_str(), "/healthz" | "/readyz") && status == StatusCode::OK {
        tracing::debug!(%method, path, status = status.as_u16(), ms, "request");
    } else if status.is_server_error() {
        tracing::warn!(%method, path, status = status.as_u16(), ms, "request failed");
    } else {
        tracing::info!(%method, path, status = status.as_u16(), ms, "request");
    }
    handle.shared().meters.requested(&method, route, status.as_u16());
    response
}

/// The route's template; what matches no call is all one.
fn route(request: &Request) -> String {
    match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        Some(template) if !template.contains("{*") => template.to_owned(),
        _ => "other".to_owned(),
    }
}

/// A path is ASCII: it was parsed as a URI.
fn logged_path(path: &str) -> &str {
    path.get(..MAX_LOGGED_PATH).unwrap_or(path)
}
