//! `/ws` passed on to another process's WebSocket listener (`WS_UPSTREAM`): heads are rewritten, bytes go through unread.
//!
//! Where the upstream can't be reached, a browser (`Origin`) is let in and closed with 1013, because it can't see an HTTP
//! status; everyone else gets 503 with `Retry-After`. Once bytes flow the proxy knows nothing of frames: an upstream that dies
//! ends the connection without a close frame, which a client takes for 1006 and reconnects.

mod headers;
mod tunnels;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use axum::extract::{ConnectInfo, FromRequestParts, Request, State, WebSocketUpgrade};
use axum::http::header::{HOST, RETRY_AFTER};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use futures_util::StreamExt as _;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use osbackend_protocol::{CloseCode, ErrorCode, SUBPROTOCOL};

use self::tunnels::Tunnels;
use self::upstream::{Reply, Upstream};
pub use self::upstream::{Unreachable, UpstreamError};
use crate::config::Config;
use crate::hub::registry::drain_window;
use crate::telemetry::Seldom;

/// When a client that found no upstream is to try again, in seconds.
const RETRY_AFTER_SECONDS: &str = "2";
/// How long a client has to answer the close with 1013.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a request came by; the listener puts it into the request's extensions, and without it plain HTTP is assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// TLS.
    Https,
}

/// A way to one upstream; clones share its tunnels.
#[derive(Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
}

struct Inner {
    upstream: Upstream,
    trusted: Vec<IpNet>,
    /// Tells this process's own requests from others': who passes on to itself would never end.
    via: String,
    tunnels: Tunnels,
    connect_rate: Option<u32>,
    seldom: Seldom,
}

impl Proxy {
    /// The proxy that `WS_UPSTREAM` asks for; `None` where it is not set.
    ///
    /// # Errors
    /// The address can't be used, or the system has no certificates to check a `wss://` upstream with.
    pub fn from_config(config: &Config) -> Result<Option<Self>, UpstreamError> {
        let Some(address) = &config.listen.ws_upstream else { return Ok(None) };
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(|error| UpstreamError::Random(error.to_string()))?;
        let inner = Inner {
            upstream: Upstream::new(address, config.limits.handshake_timeout)?,
            trusted: config.listen.trusted_proxies.clone(),
            via: format!("1.1 osbackend-{:x}", u64::from_le_bytes(random)),
            tunnels: Tunnels::default(),
            connect_rate: config.limits.connect_rate,
            seldom: Seldom::default(),
        };
        Ok(Some(Self { inner: Arc::new(inner) }))
    }

    /// `/ws`.
    pub fn router(&self) -> Router {
        Router::new().route("/ws", any(pass_on)).with_state(self.clone())
    }

    /// `/healthz` (this process runs) and `/readyz` (it isn't going away, and the upstream takes connections).
    pub fn health_router(&self) -> Router {
        let ok = || Json(serde_json::json!({"status": "ok"}));
        Router::new().route("/healthz", get(move || async move { ok() })).route("/readyz", get(ready)).with_state(self.clone())
    }

    /// Connections that are passed on now.
    pub fn connections(&self) -> usize {
        self.inner.tunnels.count()
    }

    /// Ends every connection, each at its time within `most` (less where there are few, see [`drain_window`]), and returns when all
    /// are gone. From its beginning on `/ws`
    /// takes nobody. The connections end without a close frame: between whose bytes it would go is not known here.
    pub async fn drain(&self, most: Duration) {
        let window = drain_window(self.inner.tunnels.count(), self.inner.connect_rate, most);
        self.inner.tunnels.drain(window).await;
    }
}

async fn ready(State(proxy): State<Proxy>) -> Response {
    if proxy.inner.tunnels.is_draining() {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, "going away");
    }
    match proxy.inner.upstream.probe().await {
        Ok(()) => Json(serde_json::json!({"status": "ok"})).into_response(),
        Err(error) => refusal(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, &format!("upstream: {error}")),
    }
}

async fn pass_on(State(proxy): State<Proxy>, mut request: Request) -> Response {
    let inner = &proxy.inner;
    if request.method() != Method::GET {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadRequest, "only GET, with an upgrade to WebSocket");
    }
    if headers::came_through(request.headers(), &inner.via) {
        if let Some(left_out) = inner.seldom.admits_now("leads back", ()) {
            tracing::error!(left_out, "WS_UPSTREAM leads back to this process: nothing can be passed on");
        }
        return refusal(StatusCode::LOOP_DETECTED, ErrorCode::Unavailable, "WS_UPSTREAM leads back to this server");
    }
    if inner.tunnels.is_draining() {
        return unavailable(request, "the gateway is going away: connect again").await;
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    let scheme = request.extensions().get::<Scheme>().copied().unwrap_or(Scheme::Http);
    let trusted = peer.is_some_and(|peer| inner.trusted.iter().any(|network| network.contains(&peer)));
    let upgrading = headers::is_websocket(request.headers());
    let mut passed = headers::passed_on(request.headers());
    headers::add_origin_of(&mut passed, request.headers().get(HOST), peer, scheme, trusted);
    headers::add_via(&mut passed, &inner.via);
    if upgrading {
        headers::add_upgrade(&mut passed);
    }
    let query = request.uri().query().map(str::to_owned);
    let Reply { mut response, connection } = match inner.upstream.ask(query.as_deref(), passed).await {
        Ok(reply) => reply,
        Err(error) => {
            // Anybody may ask as often as it likes while the upstream is away.
            if let Some(left_out) = inner.seldom.admits_now("no answer", ()) {
                tracing::warn!(%error, upstream = %inner.upstream, left_out, "no answer from WS_UPSTREAM");
            }
            return unavailable(request, "the WebSocket server can't be reached now: try again later").await;
        }
    };
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switching && !upgrading {
        return refusal(StatusCode::BAD_GATEWAY, ErrorCode::Unavailable, "the WebSocket server answered with an upgrade unasked");
    }
    let mut answer = headers::passed_on(response.headers());
    if !switching {
        let (parts, body) = response.into_parts();
        // Its connection lives until the body is through.
        tokio::spawn(connection);
        let mut refused = Response::new(Body::new(body));
        *refused.status_mut() = parts.status;
        *refused.headers_mut() = answer;
        return refused;
    }
    headers::add_upgrade(&mut answer);
    let theirs = hyper::upgrade::on(&mut response);
    let ours = hyper::upgrade::on(&mut request);
    let tunnels = inner.tunnels.clone();
    tokio::spawn(async move {
        // The upstream's side is upgraded by driving its connection to the end.
        let ((), theirs, ours) = tokio::join!(connection, theirs, ours);
        if let (Ok(theirs), Ok(ours)) = (theirs, ours) {
            tunnels.run(TokioIo::new(ours), TokioIo::new(theirs)).await;
        }
    });
    let mut accepted = Response::new(Body::empty());
    *accepted.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *accepted.headers_mut() = answer;
    accepted
}

/// 503, or close 1013 for a browser.
async fn unavailable(request: Request, message: &'static str) -> Response {
    let is_browser = request.headers().contains_key(axum::http::header::ORIGIN);
    let (mut parts, _) = request.into_parts();
    if is_browser && let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        // Offered and not echoed, it would fail the handshake.
        return upgrade.protocols([SUBPROTOCOL]).on_upgrade(try_later);
    }
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message);
    response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static(RETRY_AFTER_SECONDS));
    response
}

async fn try_later(mut socket: WebSocket) {
    let code = CloseCode::TryLater;
    let frame = CloseFrame { code: code.code(), reason: code.reason().into() };
    let closing = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
}

fn refusal(status: StatusCode, code: ErrorCode, message: &str) -> Response {
    (status, Json(serde_json::json!({"error": {"code": code, "message": message}}))).into_response()
}
