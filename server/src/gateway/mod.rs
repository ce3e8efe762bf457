//! The gateway: from an HTTP request for `/ws` to a running connection (§1).

mod client;
pub mod frames;
pub mod socket;

use crate::{
    auth::{extract, origin::OriginPolicy},
    limits::{Admission, NotAdmitted},
    realtime::Handle,
    session::{Mode, Refusal},
    telemetry::meters::{Meters, Via},
};
use axum::{
    Json, Router,
    extract::{ConnectInfo, FromRequestParts, State, WebSocketUpgrade},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header::RETRY_AFTER, request::Parts},
    response::{IntoResponse, Response},
    routing::any,
};
use osbackend_protocol::{ErrorCode, SUBPROTOCOL};
use std::{convert::Infallible, net::SocketAddr};

/// When a client that comes during a drain is to try again, in milliseconds.
const DRAINING_RETRY_MS: u64 = 1_000;

/// What `/ws` needs.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) handle: Handle,
    pub(crate) admission: Admission,
    pub(crate) origins: OriginPolicy,
    pub(crate) max_message_bytes: usize,
    /// `None`: the client chooses, by the subprotocol that it offers (§1).
    pub(crate) mode: Option<Mode>,
}

/// `/ws`.
pub(crate) fn router(gateway: Gateway) -> Router {
    Router::new().route("/ws", any(upgrade)).with_state(gateway)
}

/// The legacy port: clients of the old system connect to paths of all kinds.
pub(crate) fn legacy_router(gateway: Gateway) -> Router {
    Router::new().fallback(any(upgrade)).with_state(gateway)
}

/// The client's address, where the server tells it.
struct Address(Option<SocketAddr>);

impl<S: Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0)))
    }
}

async fn upgrade(
    State(gateway): State<Gateway>,
    Address(address): Address,
    headers: HeaderMap,
    uri: Uri,
    socket: WebSocketUpgrade,
) -> Response {
    let meters = &gateway.handle.shared().meters;
    if !gateway.origins.allows(&headers) {
        not_admitted(meters, "origin", address);
        return refusal(StatusCode::FORBIDDEN, ErrorCode::Forbidden, "this origin may not connect: see ALLOWED_ORIGINS", None);
    }
    if gateway.handle.is_draining() {
        not_admitted(meters, "draining", address);
        let message = "the server is going away: connect again";
        return refusal(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message, Some(DRAINING_RETRY_MS));
    }
    let now_ms = gateway.handle.now_ms();
    // Browsers can't see an HTTP status, but only a close code tells them not to come back (§6).
    let (place, refused) = match gateway.admission.admit(address.map(|address| address.ip()), now_ms) {
        Ok(place) => (Some(place), None),
        Err(NotAdmitted::Full { retry_after_ms }) => {
            not_admitted(meters, "full", address);
            let message = "the server takes no more connections now: try again later";
            return refusal(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message, Some(retry_after_ms));
        }
        Err(NotAdmitted::Address | NotAdmitted::User) => {
            not_admitted(meters, "address_limit", address);
            (None, Some(Refusal::ConnectionLimit))
        }
    };
    let token = match (refused, extract::token(&headers, uri.query())) {
        (Some(refusal), _) => Err(refusal),
        (None, Ok(token)) => Ok(token.map(|token| token.as_str().to_owned())),
        (None, Err(error)) => {
            meters.token_refused(Via::Socket, &error);
            Err(Refusal::Token(error))
        }
    };
    let max_message_bytes = gateway.max_message_bytes;
    let socket = socket::configure(socket, max_message_bytes);
    let (socket, mode) = match gateway.mode {
        Some(mode) => (socket, mode),
        None => {
            let socket = socket.protocols([SUBPROTOCOL]);
            let mode = if socket.selected_protocol().is_some() { Mode::V1 } else { Mode::Plain };
            (socket, mode)
        }
    };
    if mode == Mode::Legacy {
        tracing::debug!(address = ?address.map(|address| address.ip()), "a client on the deprecated METRICS_WS_PORT");
    }
    socket.on_upgrade(move |socket| client::run(socket, gateway.handle, max_message_bytes, place, mode, token))
}

fn not_admitted(meters: &Meters, reason: &'static str, address: Option<SocketAddr>) {
    meters.not_admitted(reason);
    tracing::info!(reason, address = address.map(tracing::field::display), "connection refused");
}

/// An error of the HTTP API (§9).
fn refusal(status: StatusCode, code: ErrorCode, message: &str, retry_after_ms: Option<u64>) -> Response {
    let body = serde_json::json!({ "error": { "code": code, "message": message } });
    let mut response = (status, Json(body)).into_response();
    if let Some(ms) = retry_after_ms
        && let Ok(seconds) = HeaderValue::from_str(&ms.div_ceil(1000).to_string())
    {
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}
