//! The listeners: bound together, each with its router, stopped gracefully.

mod accept;
mod bind;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::sync::{mpsc, watch};

use self::accept::{Service, accept};
pub use self::bind::BindError;
use self::bind::{Bound, bind};
pub use self::tls::{Reloaded, Tls, TlsError};
use crate::config::Config;

/// How long running HTTP requests may take to end once the listeners stop.
const GRACE: Duration = Duration::from_secs(5);

/// Why the listeners are not there.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Key or certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl ListenError {
    /// Whether a setting is to blame.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Tls(error) if error.is_usage())
    }
}

/// What each port answers with.
pub struct Routers {
    /// `PORT`.
    pub http: Router,
    /// `WS_PORT`.
    pub ws: Router,
    /// `METRICS_WS_PORT`, where it is set.
    pub legacy: Router,
}

/// The same on both ports, and nothing on the legacy one.
impl From<Router> for Routers {
    fn from(router: Router) -> Self {
        Self { http: router.clone(), ws: router, legacy: Router::new() }
    }
}

/// Bound ports, not served yet.
#[derive(Debug)]
pub struct Listeners {
    http: Bound,
    /// `None` where both settings name one port, and for a gateway, which has no such port.
    ws: Option<Bound>,
    legacy: Option<Bound>,
    tls: Option<Tls>,
    head_timeout: Option<Duration>,
    /// The port of the API and the demo page, the real one.
    pub http_address: SocketAddr,
    /// The port of the WebSocket endpoint, the real one.
    pub ws_address: SocketAddr,
    /// The legacy port, the real one; `None`: off.
    pub legacy_address: Option<SocketAddr>,
}

impl Listeners {
    /// Binds all ports, so that a server either has them all or doesn't start.
    ///
    /// # Errors
    /// A port is in use or not allowed; TLS is asked for and can't be had.
    pub async fn bind(config: &Config) -> Result<Self, ListenError> {
        let listen = &config.listen;
        let mut listeners = Self::bind_gateway(config).await?;
        if listen.ws_port != listen.port || listen.port == 0 {
            let ws = bind(listen.host, listen.ws_port, "WS_PORT", "ws-port").await?;
            listeners.ws_address = ws.address;
            listeners.ws = Some(ws);
        }
        if let Some(port) = listen.metrics_ws_port {
            let legacy = bind(listen.host, port, "METRICS_WS_PORT", "metrics-ws-port").await?;
            listeners.legacy_address = Some(legacy.address);
            listeners.legacy = Some(legacy);
        }
        Ok(listeners)
    }

    /// Binds `PORT` alone.
    ///
    /// # Errors
    /// See [`Self::bind`].
    pub async fn bind_gateway(config: &Config) -> Result<Self, ListenError> {
        let listen = &config.listen;
        let tls = Tls::from_config(listen)?;
        let http = bind(listen.host, listen.port, "PORT", "port").await?;
        let address = http.address;
        let head_timeout = config.limits.handshake_timeout;
        Ok(Self {
            http,
            ws: None,
            legacy: None,
            tls,
            head_timeout,
            http_address: address,
            ws_address: address,
            legacy_address: None,
        })
    }

    /// Whether all of them speak TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The TLS of all of them.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Serves all ports until `stop` is sent or dropped; then takes no new connections and gives running requests a few
    /// seconds. Sockets that were upgraded are not waited for: drain them.
    pub async fn serve(self, routers: impl Into<Routers>, stop: watch::Receiver<()>) {
        let Routers { http, ws, legacy } = routers.into();
        // Each connection holds a sender; `ended` hears nothing more once all are gone.
        let (running, mut ended) = mpsc::channel::<()>(1);
        let (tls, head_timeout) = (self.tls, self.head_timeout);
        if let Some(tls) = &tls {
            tokio::spawn(tls.clone().watch(tls::LOOK, stop.clone()));
        }
        let one = async |bound: Option<Bound>, router: Router| {
            let Some(Bound { listener, .. }) = bound else { return };
            let service = Service { router, tls: tls.clone(), head_timeout, running: running.clone(), stop: stop.clone() };
            accept(listener, service).await;
        };
        tokio::join!(one(Some(self.http), http), one(self.ws, ws), one(self.legacy, legacy));
        drop(running);
        let _ = tokio::time::timeout(GRACE, ended.recv()).await;
    }
}
