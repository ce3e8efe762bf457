//! What the API answers while the server goes away (§9): 503, so that callers turn to the successor.

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ApiError;
use crate::realtime::Handle;

/// Seconds until the next attempt of a caller.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Answers for the calls under `/api/ws` once a drain began; the status goes on to tell of it. Calls that run already are finished.
pub(super) async fn refuse(State(handle): State<Handle>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !handle.is_draining() || !path.starts_with("/api/ws/") || path == "/api/ws/status" {
        return next.run(request).await;
    }
    let error = ApiError::unavailable("the server is going away: call again").retry_after(RETRY_AFTER_SECONDS);
    let mut response = error.into_response();
    // A connection that is kept would lead here again.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
