//! `/metrics`, its own listener where one is asked for, and a line and a count for every request of the HTTP API.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use osbackend_protocol::RoomName;
use tokio::net::TcpListener;

use super::prometheus::CONTENT_TYPE;
use crate::api::{ApiError, CallLimits};
use crate::limits::address;
use crate::realtime::Handle;

/// The route of what matches no call.
const OTHER: &str = "other";

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

/// What the log is to tell of a request beside its path: filled in by whoever finds it out. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted(Arc<Notes>);

#[derive(Debug, Default)]
struct Notes {
    caller: OnceLock<String>,
    refused: OnceLock<String>,
}

impl Noted {
    /// Who calls, such as `user:ada` or `api-key:billing`.
    pub(crate) fn caller(&self, caller: String) {
        // The first one counts; there is no other.
        let _ = self.0.caller.set(caller);
    }

    /// Why its token or key was refused; an error never holds either.
    pub(crate) fn refused(&self, error: &ApiError) {
        let _ = self.0.refused.set(error.message().to_owned());
    }
}

/// Counts every request, and logs it in one line: method, path without its query (which may hold a token), status, milliseconds, and
/// who called. Of requests that are alike (address, caller, route, status) one a second is logged; `left_out` counts the others.
pub(crate) async fn observe(State((handle, limits)): State<(Handle, CallLimits)>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    let method = request.method().clone();
    let route = route(&request);
    let path = logged_path(&route, request.uri().path());
    let address = limits.address(request.extensions(), request.headers());
    let response = next.run(request).await;
    let status = response.status();
    let ms = began.elapsed().as_secs_f64() * 1000.0;
    let (caller, reason) = (noted.0.caller.get(), noted.0.refused.get());
    let meters = &handle.shared().meters;
    let status_code = status.as_u16();
    // What asks every few seconds all day is of no interest while it is answered well.
    if matches!(route.as_str(), "/healthz" | "/readyz") && status == StatusCode::OK {
        tracing::debug!(%method, path, status = status_code, ms, "request");
    } else {
        let kind = if status.is_server_error() { "request failed" } else { "request" };
        let alike = (address.map(address::group), caller, &route, status_code);
        if let Some(left_out) = meters.seldom.admits(kind, alike, handle.now_ms()) {
            if status.is_server_error() {
                tracing::warn!(%method, path, status = status_code, ms, caller, reason, left_out, "request failed");
            } else {
                tracing::info!(%method, path, status = status_code, ms, caller, reason, left_out, "request");
            }
        }
    }
    meters.requested(&method, route, status_code);
    response
}

/// The route's template; what matches no call is all one.
fn route(request: &Request) -> String {
    match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        Some(template) if !template.contains("{*") => template.to_owned(),
        _ => OTHER.to_owned(),
    }
}

/// What the log tells of a path: as it is where it names a call and a room. Anything else that stands in it may be a token that got
/// into the wrong place, and is left out.
fn logged_path(route: &str, path: &str) -> String {
    if let Some((before, _)) = route.split_once("{room}") {
        let room = path.strip_prefix(before).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let is_room = RoomName::parse(&room.replace("%3A", ":").replace("%3a", ":")).is_ok();
        return if is_room { path.to_owned() } else { route.to_owned() };
    }
    if route != OTHER {
        return path.to_owned();
    }
    let is_word = |segment: &str| segment.len() <= 24 && segment.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let mut told = String::new();
    for segment in path.split('/').skip(1) {
        if !is_word(segment) || told.len() > 100 {
            return told + "/…";
        }
        told = told + "/" + segment;
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_room_and_no_word_is_not_logged() {
        let history = "/api/ws/rooms/{room}/history";
        for room in ["agent:7", "agent%3A7", "user:a%40b"] {
            let path = format!("/api/ws/rooms/{room}/history");
            assert_eq!(logged_path(history, &path), path);
        }
        for token in ["eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl", "osb_0123", "", "%"] {
            assert_eq!(logged_path(history, &format!("/api/ws/rooms/{token}/history")), history);
        }
        assert_eq!(logged_path("/api/ws/status", "/api/ws/status"), "/api/ws/status");
        assert_eq!(logged_path(OTHER, "/api/ws/no-such-call"), "/api/ws/no-such-call");
        assert_eq!(logged_path(OTHER, "/api/ws/eyJhbGciOi.eyJzdWIiOi.c2ln/x"), "/api/ws/…");
        assert!(logged_path(OTHER, &"/word".repeat(1000)).len() < 128);
    }
}
