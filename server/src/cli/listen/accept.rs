//! Accepting connections of one port and serving each: TLS where it is on, the request head within its time.
//!
//! `axum::serve` has no limit on how long a request head may take; this loop has, and sets `TCP_NODELAY` and `TCP_NOTSENT_LOWAT`.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tower::Service as _;

use super::tls::Tls;
use crate::proxy::Scheme;

/// Room for the request head, with a token in it; hyper's default of 400 KiB a connection is too wide.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Bytes that the system takes of what a socket has not sent yet. Beside what is under way it would take megabytes (`tcp_wmem`) for a
/// client that reads nothing, which no limit of ours counts, and hold back what conflation could still take out. More than one
/// write of a connection's task (64 KiB): a fast reader never waits for it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 128 * 1024;
/// Pause after a failed `accept`: out of file descriptors, mostly, and that lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How the connections of one port are served.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) router: Router,
    pub(super) tls: Option<Tls>,
    /// For the TLS handshake, and again for each request head; `None`: no limit.
    pub(super) head_timeout: Option<Duration>,
    /// Each connection holds one, so that its end can be waited for.
    pub(super) running: mpsc::Sender<()>,
    pub(super) stop: watch::Receiver<()>,
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
    let Some(tls) = &service.tls else { return serve(socket, peer, Scheme::Http, service).await };
    let (tls, head_timeout, mut stop) = (tls.clone(), service.head_timeout, service.stop.clone());
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
        Ok(socket) => serve(socket, peer, Scheme::Https, service).await,
        Err(error) => tracing::debug!(%peer, %error, "no TLS connection"),
    }
}

/// Serves one connection until it ends, is upgraded, or has answered its request after `stop`.
async fn serve<S>(socket: S, peer: SocketAddr, scheme: Scheme, service: Service)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Service { router, head_timeout, mut stop, running, .. } = service;
    let handle = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(scheme);
        router.clone().call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(MAX_HEAD_BYTES);
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
    drop(running);
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
