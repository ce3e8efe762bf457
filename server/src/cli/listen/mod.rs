//! The listeners: bound together, each with its router, stopped gracefully.

mod accept;
mod answering;
mod bind;
mod patience;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::{mpsc, watch};

use self::accept::{Bounds, Service, accept};
pub use self::bind::BindError;
use self::bind::{Bound, Ports};
use self::patience::Patience;
pub use self::tls::{Reloaded, Tls, TlsError};
use crate::config::Config;
use crate::limits::HttpConnections;

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
    bounds: Bounds,
    /// The port of the API and the demo page, the real one.
    pub http_address: SocketAddr,
    /// The port of the WebSocket endpoint, the real one.
    pub ws_address: SocketAddr,
    /// The legacy port, the real one; `None`: off.
    pub legacy_address: Option<SocketAddr>,
    /// Who has the ports after this process.
    pub handover: Handover,
}

/// How the ports go over to the next process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// They are closed, and the next process takes them.
    Close,
    /// A service manager keeps them: what this process doesn't accept waits for the next one.
    Kept,
    /// The next process listens beside this one (`REUSE_PORT`).
    Shared,
}

impl Listeners {
    /// Binds all ports, so that a server either has them all or doesn't start.
    ///
    /// # Errors
    /// A port is in use or not allowed; TLS is asked for and can't be had.
    pub async fn bind(config: &Config) -> Result<Self, ListenError> {
        let listen = &config.listen;
        let mut ports = Ports::new(listen.reuse_port)?;
        let mut listeners = Self::first(config, &mut ports)?;
        if listen.ws_port != listen.port || listen.port == 0 {
            let ws = ports.bind(listen.host, listen.ws_port, "WS_PORT", "ws-port")?;
            listeners.ws_address = ws.address;
            listeners.ws = Some(ws);
        }
        if let Some(port) = listen.metrics_ws_port {
            let legacy = ports.bind(listen.host, port, "METRICS_WS_PORT", "metrics-ws-port")?;
            listeners.legacy_address = Some(legacy.address);
            listeners.legacy = Some(legacy);
        }
        Ok(listeners.with(&ports))
    }

    /// Binds `PORT` alone.
    ///
    /// # Errors
    /// See [`Self::bind`].
    pub async fn bind_gateway(config: &Config) -> Result<Self, ListenError> {
        let mut ports = Ports::new(config.listen.reuse_port)?;
        Ok(Self::first(config, &mut ports)?.with(&ports))
    }

    fn with(self, ports: &Ports) -> Self {
        ports.warn_of_unused();
        if ports.handed_over { Self { handover: Handover::Kept, ..self } } else { self }
    }

    fn first(config: &Config, ports: &mut Ports) -> Result<Self, ListenError> {
        let listen = &config.listen;
        let tls = Tls::from_config(listen)?;
        let http = ports.bind(listen.host, listen.port, "PORT", "port")?;
        let address = http.address;
        let bounds = bounds(config);
        Ok(Self {
            http,
            ws: None,
            legacy: None,
            tls,
            bounds,
            http_address: address,
            ws_address: address,
            legacy_address: None,
            handover: if listen.reuse_port { Handover::Shared } else { Handover::Close },
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
        let (tls, bounds) = (self.tls, self.bounds);
        if let Some(tls) = &tls {
            tokio::spawn(tls.clone().watch(tls::LOOK, stop.clone()));
        }
        let one = async |bound: Option<Bound>, router: Router| {
            let Some(Bound { listener, .. }) = bound else { return };
            let (tls, bounds) = (tls.clone(), bounds.clone());
            let service = Service { router, tls, bounds, running: running.clone(), stop: stop.clone() };
            accept(listener, service).await;
        };
        tokio::join!(one(Some(self.http), http), one(self.ws, ws), one(self.legacy, legacy));
        drop(running);
        let _ = tokio::time::timeout(GRACE, ended.recv()).await;
    }
}

/// What the settings say of HTTP connections.
fn bounds(config: &Config) -> Bounds {
    let limits = &config.limits;
    let most = match limits.max_http_connections_per_ip {
        None => limits.max_connections_per_ip,
        given => given.filter(|most| *most > 0),
    };
    Bounds {
        patience: Patience { head: limits.handshake_timeout, idle: limits.http_keep_alive, write: limits.http_write_timeout },
        connections: HttpConnections::new(most),
        trusted_proxies: config.listen.trusted_proxies.clone().into(),
        seldom: Arc::default(),
    }
}
