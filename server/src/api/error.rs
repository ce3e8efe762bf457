//! How a call fails: `{error: {code, message}}` and a status (§9).

use std::{fmt, time::Duration};

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header::ALLOW, header::RETRY_AFTER, header::WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use osbackend_protocol::event::EventError;
use osbackend_protocol::{Denied, ErrorCode, RoomNameError};
use serde_json::json;

use super::limits::Anyone;
use crate::auth::AuthError;
use crate::engine::EngineError;
use crate::metrics::QueryError;
use crate::realtime::PublishError;

/// The answer to a call that failed.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The field that is wrong, such as `[2].data.progress`.
    path: Option<String>,
    retry_after_seconds: Option<u64>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: ErrorCode, message: impl fmt::Display) -> Self {
        Self { status, code: code.name(), message: message.to_string(), path: None, retry_after_seconds: None }
    }

    /// What went wrong, in words.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// 400: the request can't be understood.
    pub(super) fn bad_request(message: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, message)
    }

    /// 422: understood, but the field at `path` is wrong.
    pub(super) fn invalid(path: impl Into<String>, message: impl fmt::Display) -> Self {
        let path = path.into();
        let message = format!("{path}: {message}");
        Self { path: Some(path), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::BadRequest, message) }
    }

    /// 401: a token is needed.
    pub(super) fn token_needed() -> Self {
        let how = "a token is needed: send it as `Authorization: Bearer …`";
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, how)
    }

    /// 401: an admin's token or an API key is needed.
    pub(super) fn admin_needed() -> Self {
        let how = "an admin's token or an API key is needed: send it as `Authorization: Bearer …`";
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, how)
    }

    /// 401: a token is needed, and an API key was given.
    pub(super) fn no_call_of_keys() -> Self {
        let message = "API keys are for broadcast, events, disconnect and status; this call takes a token";
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message)
    }

    /// 401: no such API key.
    pub(super) fn wrong_key() -> Self {
        let message = "this server knows no such API key: see API_KEYS, and `osbackend api-key` makes one";
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message)
    }

    /// 403: with this token it is not allowed.
    pub(super) fn forbidden(message: impl fmt::Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message)
    }

    /// 413: over a limit of bytes.
    pub(super) fn too_large(limit_bytes: usize) -> Self {
        let message = format!("too large: at most {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, message)
    }

    /// 408: the body did not come within its time.
    pub(super) fn too_slow(limit: Duration) -> Self {
        let message = format!("the body was not complete within {} s: send it faster, or in smaller calls", limit.as_secs_f32());
        Self::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::BadRequest, message)
    }

    /// 429: more often than a limit allows; in `retry_ms` it does again.
    pub(super) fn rate_limited(message: impl fmt::Display, retry_ms: u64) -> Self {
        let seconds = retry_ms.div_ceil(1000).max(1);
        let message = format!("{message}: try again in {seconds} s");
        let retry_after_seconds = Some(seconds);
        Self { retry_after_seconds, ..Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited, message) }
    }

    /// 503: not now.
    pub(super) fn unavailable(message: impl fmt::Display) -> Self {
        let retry_after_seconds = Some(5);
        Self { retry_after_seconds, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message) }
    }

    /// Tells when to call again.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }

    /// The error of one of an array's events, whose place it names where it doesn't yet; `prefix` as in [`Self::of_event`].
    pub(super) fn within(mut self, prefix: &str) -> Self {
        if self.path.is_none() && !prefix.is_empty() {
            let place = prefix.trim_end_matches('.').to_owned();
            self.message = format!("{place}: {}", self.message);
            self.path = Some(place);
        }
        self
    }

    /// An event that can't be taken, at `prefix` of the body (`[2].` in an array, else empty).
    pub(super) fn of_event(prefix: &str, error: &EventError) -> Self {
        Self::invalid(format!("{prefix}{}", error.path), &error.message)
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error.code() {
            ErrorCode::Unavailable => Self::unavailable(error),
            code => Self::new(StatusCode::UNAUTHORIZED, code, error),
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotAuthenticated => Self::token_needed(),
            denied => Self::forbidden(denied),
        }
    }
}

impl From<RoomNameError> for ApiError {
    fn from(error: RoomNameError) -> Self {
        Self::bad_request(format!("room: {error}"))
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        Self::unavailable(error)
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match &error {
            QueryError::Unavailable(_) | QueryError::TooSlow(_) => Self::unavailable(error),
            QueryError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.code(), error),
            QueryError::Busy { retry_after_ms } => {
                Self::rate_limited("too many questions for metrics are waiting; ask fewer at once", *retry_after_ms)
            }
        }
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Event(error) => Self::of_event("", &error),
            PublishError::Room(error) => error.into(),
            PublishError::Data(message) => Self::invalid("data", message),
            PublishError::Engine(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(path) = self.path {
            error["path"] = path.into();
        }
        let mut response = (self.status, Json(json!({ "error": error }))).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// 404 for a path under `/api/ws` that no call has. §6 has no code for it: on the socket there are no paths.
pub(super) async fn no_such_call(_: Anyone) -> ApiError {
    let message = "no such call; see docs/PROTOCOL.md, section 9";
    ApiError { code: "not_found", ..ApiError::new(StatusCode::NOT_FOUND, ErrorCode::BadRequest, message) }
}

/// 405 for a call that has another method.
pub(super) fn wrong_method(method: &str) -> Response {
    let message = format!("this call's method is {method}; see docs/PROTOCOL.md, section 9");
    let error =
        ApiError { code: "method_not_allowed", ..ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadRequest, message) };
    // RFC 9110, 15.5.6; a GET answers HEAD as well.
    let allowed = if method == "GET" { "GET, HEAD" } else { "POST" };
    ([(ALLOW, allowed)], error).into_response()
}
