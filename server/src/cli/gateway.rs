//! `osbackend gateway`: a process that passes `/ws` on to a WebSocket server elsewhere, and does nothing else.

use tokio::sync::watch;

use super::listen::{ListenError, Listeners};
use super::say;
use super::signals::StopSignals;
use crate::config::{Config, SettingFlags, SettingsError};
use crate::proxy::{Proxy, UpstreamError};
use crate::telemetry;

/// How to pass on.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    settings: SettingFlags,
}

/// Why the gateway did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum GatewayError {
    /// A setting has a value that is not allowed.
    #[error(transparent)]
    Config(#[from] SettingsError),
    /// There is nowhere to pass on to.
    #[error("WS_UPSTREAM is not set. Set it to the WebSocket listener to pass on to, such as ws://127.0.0.1:8082")]
    NoUpstream,
    /// The upstream can't be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Port, key or certificate.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Logging could not be set up.
    #[error(transparent)]
    Telemetry(#[from] telemetry::TelemetryError),
    /// The system refused something else.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

impl GatewayError {
    /// Whether the command line or a setting is to blame.
    pub(super) fn is_usage(&self) -> bool {
        match self {
            Self::Config(_) | Self::NoUpstream | Self::Upstream(UpstreamError::Address(_)) => true,
            Self::Listen(error) => error.is_usage(),
            _ => false,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<(), GatewayError> {
    let config = args.settings.config(false)?;
    telemetry::init(&config.logs)?;
    let proxy = Proxy::from_config(&config)?.ok_or(GatewayError::NoUpstream)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(&config, proxy))
}

async fn serve(config: &Config, proxy: Proxy) -> Result<(), GatewayError> {
    let mut signals = StopSignals::new()?;
    let listeners = Listeners::bind_gateway(config).await?;
    let scheme = if listeners.is_tls() { "https" } else { "http" };
    say(&format!("listening {scheme}={}", listeners.http_address));
    let (stop, stopped) = watch::channel(());
    let serving = tokio::spawn(listeners.serve(proxy.router().merge(proxy.health_router()), stopped));
    signals.next().await;
    tracing::info!(connections = proxy.connections(), "stopping: connections end one by one; a second signal stops at once");
    // The port answers until the last connection is gone, with 503.
    let leave = async {
        proxy.drain(config.liveness.drain).await;
        drop(stop);
        let _ = serving.await;
    };
    tokio::select! {
        () = leave => {}
        () = signals.next() => {}
    }
    Ok(())
}
