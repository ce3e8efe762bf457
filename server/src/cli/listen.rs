//! The listeners: bound together, served by one router, stopped gracefully.
//!
//! `axum::serve` has no limit on how long a request head may take; this loop has, and sets `TCP_NODELAY`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tower::Service as _;

use crate::config::Config;

/// Room for the request head, with a token in it; hyper's default of 400 KiB a connection is too wide.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long running HTTP requests may take to end once the listeners stop.
const GRACE: Duration = Duration::from_secs(5);
/// Pause after a failed `accept`: out of file descriptors, mostly, and that lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has it.
    #[error(
        "port {port} of {host} is in use ({variable}). Stop the program that has it, or take another: --{flag} 0 takes a free one"
    )]
    InUse {
        /// The address.
        host: IpAddr,
        /// The port.
        port: u16,
        /// The setting.
        variable: &'static str,
        /// Its flag.
        flag: &'static str,
    },
    /// Anything else.
    #[error("can't listen on port {port} of {host} ({variable}): {source}")]
    Other {
        /// The address.
        host: IpAddr,
        /// The port.
        port: u16,
        /// The setting.
        variable: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// Bound ports, not served yet.
#[derive(Debug)]
pub struct Listeners {
    http: TcpListener,
    /// `None` where both settings name one port.
    ws: Option<TcpListener>,
    head_timeout: Option<Duration>,
    /// The port of the API and the demo page, the real one.
    pub http_address: SocketAddr,
    /// The port of the WebSocket endpoint, the real one.
    pub ws_address: SocketAddr,
}

impl Listeners {
    /// Binds both ports, so that a server either has both or doesn't start.
    ///
    /// # Errors
    /// A port is in use or not allowed.
    pub async fn bind(config: &Config) -> Result<Self, BindError> {
        let listen = &config.listen;
        let (http, http_address) = bind(listen.host, listen.port, "PORT", "port").await?;
        let (ws, ws_address) = if listen.ws_port == listen.port && listen.port != 0 {
            (None, http_address)
        } else {
            let (ws, address) = bind(listen.host, listen.ws_port, "WS_PORT", "ws-port").await?;
            (Some(ws), address)
        };
        Ok(Self { http, ws, head_timeout: config.limits.handshake_timeout, http_address, ws_address })
    }

    /// Serves `router` on both ports until `stop` is sent or dropped; then takes no new connections and gives running
    /// requests a few seconds. Sockets that were upgraded are not waited for: drain them before.
    pub async fn serve(self, router: Router, stop: watch::Receiver<()>) {
        // Each connection holds a sender; `ended` hears nothing more once all are gone.
        let (running, mut ended) = mpsc::channel::<()>(1);
        let accept = |listener| accept(listener, router.clone(), self.head_timeout, running.clone(), stop.clone());
        match self.ws {
            Some(ws) => {
                tokio::join!(accept(self.http), accept(ws));
            }
            None => accept(self.http).await,
        }
        drop(running);
        let _ = tokio::time::timeout(GRACE, ended.recv()).await;
    }
}

async fn bind(
    host: IpAddr,
    port: u16,
    variable: &'static str,
    flag: &'static str,
) -> Result<(TcpListener, SocketAddr), BindError> {
    let bound = async {
        let listener = TcpListener::bind((host, port)).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { host, port, variable, flag },
        _ => BindError::Other { host, port, variable, source },
    })
}

async fn accept(
    listener: TcpListener,
    router: Router,
    head_timeout: Option<Duration>,
    running: mpsc::Sender<()>,
    mut stop: watch::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                let served = connection(socket, peer, router.clone(), head_timeout, stop.clone());
                let running = running.clone();
                tokio::spawn(async move {
                    served.await;
                    drop(running);
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "can't accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection until it ends, is upgraded, or has answered its request after `stop`.
async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    head_timeout: Option<Duration>,
    mut stop: watch::Receiver<()>,
) {
    // Fails for a socket that is gone already; the next read tells.
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(MAX_HEAD_BYTES);
    let mut served = pin!(http.serve_connection(TokioIo::new(socket), service).with_upgrades());
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
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
