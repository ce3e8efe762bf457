//! The gateway: from an HTTP request for `/ws` to a running connection (§1).

mod client;
pub mod frames;
pub mod meter;
pub mod socket;
pub mod upgrade;

use crate::{
    auth::{extract, origin::OriginPolicy},
    limits::{Admission, NotAdmitted, Place, address},
    realtime::Handle,
    session::{Mode, Refusal},
    telemetry::meters::{Meters, Via},
};
use axum::{
    Json, Router,
    extract::{ConnectInfo, FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header::RETRY_AFTER, request::Parts},
    response::{IntoResponse, Response},
    routing::any,
};
use ipnet::IpNet;
use osbackend_protocol::{ErrorCode, SUBPROTOCOL};
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use upgrade::{Bounds, Upgrade};

/// When a client that comes during a drain is to try again, in milliseconds.
const DRAINING_RETRY_MS: u64 = 1_000;

/// What `/ws` needs.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) handle: Handle,
    pub(crate) admission: Admission,
    pub(crate) origins: OriginPolicy,
    pub(crate) bounds: Bounds,
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    /// `None`: the client chooses, by the subprotocol that it offers (§1).
    pub(crate) mode: Option<Mode>,
}

/// `/ws`.
pub(crate) fn router(gateway: Gateway) -> Router {
    Router::new().route("/ws", any(serve)).with_state(gateway)
}

/// The legacy port: clients of the old system connect to paths of all kinds.
pub(crate) fn legacy_router(gateway: Gateway) -> Router {
    Router::new().fallback(any(serve)).with_state(gateway)
}

/// The client's address, where the server tells it.
struct Address(Option<SocketAddr>);

impl<S: Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0)))
    }
}

async fn serve(
    State(gateway): State<Gateway>,
    Address(address): Address,
    headers: HeaderMap,
    uri: Uri,
    mut socket: Upgrade,
) -> Response {
    let meters = &gateway.handle.shared().meters;
    let address = address.map(|peer| address::of_client(peer.ip(), &headers, &gateway.trusted_proxies));
    if !gateway.origins.allows(&headers) {
        not_admitted(meters, "origin", address);
        return refusal(StatusCode::FORBIDDEN, ErrorCode::Forbidden, "this origin may not connect: see ALLOWED_ORIGINS", None);
    }
    let going_away = || {
        not_admitted(meters, "draining", address);
        let message = "the server is going away: connect again";
        refusal(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message, Some(DRAINING_RETRY_MS))
    };
    if gateway.handle.is_draining() {
        return going_away();
    }
    let now_ms = gateway.handle.now_ms();
    // Browsers can't see an HTTP status: who is over its address's limit is let in, and told so (§6).
    let (place, refused) = match gateway.admission.admit(address, now_ms) {
        Ok(place) => (Some(place), None),
        Err(NotAdmitted::Full { retry_after_ms }) => {
            not_admitted(meters, "full", address);
            let message = "the server takes no more connections now: try again later";
            return refusal(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message, Some(retry_after_ms));
        }
        Err(NotAdmitted::Address | NotAdmitted::User) => {
            not_admitted(meters, "address_limit", address);
            (None, Some(Refusal::AddressLimit))
        }
    };
    if let Some(wait_ms) = place.as_ref().map(Place::wait_ms).filter(|wait_ms| *wait_ms > 0) {
        // A client that goes away meanwhile drops this, and its place with it.
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        if gateway.handle.is_draining() {
            return going_away();
        }
    }
    let token = match (refused, extract::token(&headers, uri.query())) {
        (Some(refusal), _) => Err(refusal),
        (None, Ok(token)) => Ok(token.map(|token| token.as_str().to_owned())),
        (None, Err(error)) => {
            meters.token_refused(Via::Socket, &error);
            Err(Refusal::Token(error))
        }
    };
    let mode = match gateway.mode {
        Some(mode) => mode,
        None if socket.choose(SUBPROTOCOL) => Mode::V1,
        None => Mode::Plain,
    };
    if mode == Mode::Legacy {
        tracing::debug!(?address, "a client on the deprecated METRICS_WS_PORT");
    }
    let bounds = gateway.bounds;
    socket.on_upgrade(bounds, move |socket| client::run(socket, gateway.handle, bounds, place, mode, token))
}

fn not_admitted(meters: &Meters, reason: &'static str, address: Option<IpAddr>) {
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
