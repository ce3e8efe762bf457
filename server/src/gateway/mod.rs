//! The gateway: from an HTTP request for `/ws` to a running connection (§1).

mod client;
mod door;
pub mod frames;
mod hints;
pub mod meter;
pub mod socket;
pub mod upgrade;

use crate::{
    auth::{extract, origin::OriginPolicy},
    limits::{FULL_RETRY_MS, NotAdmitted, address},
    realtime::Handle,
    session::{Mode, Refusal},
    telemetry::meters::Via,
};
use axum::{
    Json, Router,
    extract::{ConnectInfo, FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header::RETRY_AFTER, request::Parts},
    response::{IntoResponse, Response},
    routing::any,
};
pub(crate) use door::Door;
use door::Entered;
pub(crate) use hints::Hints;
use ipnet::IpNet;
use osbackend_protocol::{ErrorCode, SUBPROTOCOL};
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use upgrade::{Bounds, Upgrade};

/// When a client that comes during a drain is to try again, in milliseconds.
const DRAINING_RETRY_MS: u64 = 1_000;

/// What `/ws` needs.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) handle: Handle,
    pub(crate) door: Door,
    pub(crate) hints: Hints,
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
    Address(peer): Address,
    headers: HeaderMap,
    uri: Uri,
    mut socket: Upgrade,
) -> Response {
    let now_ms = gateway.handle.now_ms();
    let peer = peer.map(|peer| peer.ip().to_canonical());
    let address = peer.map(|peer| address::of_client(peer, &headers, &gateway.trusted_proxies));
    let trusted = peer.is_some_and(|peer| address::is_trusted(peer, &gateway.trusted_proxies));
    if let Some(peer) = peer.filter(|_| !trusted && address::is_forwarded(&headers)) {
        gateway.hints.forwards(peer);
    }
    if !gateway.origins.allows(&headers, trusted) {
        gateway.origin_refused(address, &headers, trusted, now_ms);
        return refusal(StatusCode::FORBIDDEN, ErrorCode::Forbidden, "this origin may not connect: see ALLOWED_ORIGINS", None);
    }
    let going_away = || {
        gateway.not_admitted("draining", address, now_ms);
        let message = "the server is going away: connect again";
        refusal(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message, Some(DRAINING_RETRY_MS))
    };
    if gateway.handle.is_draining() {
        return going_away();
    }
    // A client that goes away while it waits drops this, and place and turn with it.
    let entered = gateway.door.enter(address).await;
    if gateway.handle.is_draining() {
        return going_away();
    }
    let (place, at_limit) = match entered {
        Ok(Entered::In(place)) => (place, false),
        Ok(Entered::AtTheDoor(place)) => (place, true),
        Err(NotAdmitted::Full { retry_after_ms }) => {
            gateway.not_admitted("full", address, now_ms);
            let message = "the server takes no more connections now: try again later";
            return refusal(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message, Some(retry_after_ms));
        }
        Err(NotAdmitted::AddressRate { retry_after_ms }) => {
            gateway.not_admitted("address_rate", address, now_ms);
            let message = "this address opens connections too fast (CONNECT_RATE_PER_IP): try again later";
            return refusal(StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited, message, Some(retry_after_ms));
        }
        Err(NotAdmitted::Address | NotAdmitted::User) => {
            gateway.address_full(address, now_ms);
            let message = Refusal::AddressLimit.to_string();
            return refusal(StatusCode::TOO_MANY_REQUESTS, ErrorCode::LimitReached, &message, Some(FULL_RETRY_MS));
        }
    };
    let mode = match gateway.mode {
        Some(mode) => mode,
        None if socket.choose(SUBPROTOCOL) => Mode::V1,
        None => Mode::Plain,
    };
    // Browsers can't see an HTTP status: who is over its address's limit is let in, and told so (§6). Who speaks first may
    // say that it comes in place of an older connection.
    let may_resume = mode == Mode::V1;
    let refused = (at_limit && !may_resume).then_some(Refusal::AddressLimit);
    if at_limit {
        gateway.crowded(address, now_ms);
    }
    if refused.is_some() {
        gateway.not_admitted("address_limit", address, now_ms);
    }
    let token = match (refused, extract::token(&headers, uri.query())) {
        (Some(refusal), _) => Err(refusal),
        (None, Ok(token)) => Ok(token.map(|token| token.as_str().to_owned())),
        (None, Err(error)) => {
            gateway.handle.shared().meters.token_refused(Via::Socket, &error);
            Err(Refusal::Token(error))
        }
    };
    if mode == Mode::Legacy {
        tracing::debug!(?address, "a client on the deprecated METRICS_WS_PORT");
    }
    let bounds = gateway.bounds;
    socket
        .on_upgrade(bounds, move |socket| client::run(socket, gateway.handle, bounds, place, at_limit && may_resume, mode, token))
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
