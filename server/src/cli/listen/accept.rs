//! Accepting connections of one port and serving each: TLS where it is on, the request head within its time.
//!
//! `axum::serve` has no limit on how long a request head may take, an answer is not read, or on how many connections an address has; this
//! loop has, and sets `TCP_NODELAY` and `TCP_NOTSENT_LOWAT`.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use osbackend_protocol::ErrorCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tower::Service as _;

use super::answering::Answering;
use super::patience::{Patience, Patient};
use super::tls::Tls;
use crate::limits::{HttpConnection, HttpConnections, HttpPlace, TooMany, address};
use crate::proxy::Scheme;
use crate::telemetry::Seldom;

/// Room for the request head, with a token in it; hyper's default of 400 KiB a connection is too wide.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Bytes that the system takes of what a socket has not sent yet. Beside what is under way it would take megabytes (`tcp_wmem`) for a
/// client that reads nothing, which no limit of ours counts, and hold back what conflation could still take out. More than one
/// write of a connection's task (64 KiB): a fast reader never waits for it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 128 * 1024;
/// Pause after a failed `accept`: out of file descriptors, mostly, and that lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// To a client whose address has all its places taken, before it has asked for anything.
const REFUSAL: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\
    content-length: 119\r\n\r\n\
    {\"error\":{\"code\":\"rate_limited\",\"message\":\"this address has too many HTTP connections: close one, or try again later\"}}";

/// A connection, and its place among those of its address.
struct Counted {
    connection: Arc<HttpConnection>,
    place: Option<HttpPlace>,
}

/// How the connections of one port are served.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) router: Router,
    pub(super) tls: Option<Tls>,
    pub(super) bounds: Bounds,
    /// Each connection holds one, so that its end can be waited for.
    pub(super) running: mpsc::Sender<()>,
    pub(super) stop: watch::Receiver<()>,
}

/// What all ports of a process share.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// Its head's time is also that of the TLS handshake.
    pub(super) patience: Patience,
    pub(super) connections: HttpConnections,
    pub(super) trusted_proxies: Arc<[IpNet]>,
    pub(super) seldom: Arc<Seldom>,
}

impl Bounds {
    /// A peer whose connections carry those of other clients: their requests are counted instead.
    fn is_proxy(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&peer.to_canonical()))
    }

    fn tell_refused(&self, address: IpAddr) {
        if let Some(left_out) = self.seldom.admits_now("http_connections", address::group(address)) {
            let why = "MAX_HTTP_CONNECTIONS_PER_IP; if this is a proxy, name it in TRUSTED_PROXIES";
            tracing::info!(%address, why, left_out, "HTTP connection refused");
        }
    }
}

pub(super) async fn accept(listener: TcpListener, service: Service) {
    let mut stop = service.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                tokio::spawn(connection(socket, peer, service.clone()));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "can't accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, peer: SocketAddr, service: Service) {
    // Fails for a socket that is gone already; the next read tells.
    let _ = socket.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES);
    let counted = Arc::new(HttpConnection::default());
    let place = match service.bounds.is_proxy(peer.ip()) {
        true => Ok(None),
        false => service.bounds.connections.admit(peer.ip(), &counted),
    };
    let Ok(place) = place else {
        service.bounds.tell_refused(peer.ip());
        if service.tls.is_none() {
            // It fits into the socket's empty buffer, or the client is left without: nobody waits for it.
            let _ = socket.try_write(REFUSAL);
        }
        return;
    };
    let counted = Counted { connection: counted, place };
    let Some(tls) = &service.tls else { return serve(socket, peer, Scheme::Http, service, counted).await };
    let (tls, head_timeout, mut stop) = (tls.clone(), service.bounds.patience.head, service.stop.clone());
    let accepted = async {
        match head_timeout {
            Some(limit) => tokio::time::timeout(limit, tls.accept(socket))
                .await
                .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"))),
            None => tls.accept(socket).await,
        }
    };
    let accepted = tokio::select! {
        accepted = accepted => accepted,
        _ = stop.changed() => return,
    };
    match accepted {
        Ok(socket) => serve(socket, peer, Scheme::Https, service, counted).await,
        Err(error) => tracing::debug!(%peer, %error, "no TLS connection"),
    }
}

/// Serves one connection until it ends, is upgraded, or has answered its request after `stop`.
async fn serve<S>(socket: S, peer: SocketAddr, scheme: Scheme, service: Service, counted: Counted)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Service { router, bounds, mut stop, running, .. } = service;
    let Counted { connection, place } = counted;
    let is_proxy = bounds.is_proxy(peer.ip());
    let socket = Patient::new(socket, connection.clone(), bounds.patience);
    let handle = service_fn(move |mut request: Request<Incoming>| {
        connection.begin();
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(scheme);
        let (connection, mut router, bounds) = (connection.clone(), router.clone(), bounds.clone());
        async move {
            let place = match is_proxy {
                true => of_client(peer.ip(), request.headers(), &bounds),
                false => Ok(None),
            };
            let (response, place) = match place {
                Ok(place) => (router.call(request).await?, place),
                Err(TooMany) => (too_many(), None),
            };
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                connection.upgraded();
            }
            Ok::<_, Infallible>(response.map(|body| Answering::new(body, connection, place)))
        }
    });
    let mut http = http1::Builder::new();
    // `Patient` has the times.
    http.header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    let mut served = pin!(http.serve_connection(TokioIo::new(socket), handle).with_upgrades());
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        _ = stop.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended early");
    }
    // A WebSocket has left with its socket, and counts elsewhere.
    drop(place);
    drop(running);
}

/// The place of a request that a proxy passed on.
fn of_client(peer: IpAddr, headers: &HeaderMap, bounds: &Bounds) -> Result<Option<HttpPlace>, TooMany> {
    let client = address::of_client(peer, headers, &bounds.trusted_proxies);
    // A proxy speaks for itself, too: a health check, say.
    if client == peer.to_canonical() {
        return Ok(None);
    }
    bounds.connections.admit_request(client).inspect_err(|_| bounds.tell_refused(client))
}

fn too_many() -> Response {
    let body = serde_json::json!({"error": {"code": ErrorCode::RateLimited, "message": TooMany.to_string()}});
    let mut response = (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
