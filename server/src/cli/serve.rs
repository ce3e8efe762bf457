//! `osbackend serve`: settings, ports, the server, and a stop that loses nobody.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use osbackend_protocol::Policy;
use tokio::sync::watch;

use super::listen::{Handover, ListenError, Listeners, Routers, Tls};
use super::pages::{self, Page};
use super::signals::StopSignals;
use super::waiting::{self, Late};
use super::{dev, say};
use crate::auth::api_key::generate;
use crate::auth::mint::MintError;
use crate::auth::{Authenticator, SetupError};
use crate::config::{Config, Secret, SettingFlags, SettingsError, not_there_yet};
use crate::demo_feed::{self, Feed};
use crate::hooks::Hooks;
use crate::metrics::postgres;
use crate::proxy::{Proxy, UpstreamError};
use crate::realtime::{BuildError, Realtime};
use crate::storage;
use crate::telemetry;

/// HS256 is as strong as its secret, up to this many bytes.
const GOOD_SECRET_BYTES: usize = 32;

/// Before the end of a drain a process stops to accept on ports that a service manager keeps: who comes then waits for the next
/// process, which takes less time than coming again.
const LEFT_TO_NEXT: Duration = Duration::from_secs(1);

/// How to serve.
#[derive(clap::Args)]
pub struct Args {
    /// For trying it out on this machine: makes a secret, prints tokens, plays a demo.
    #[arg(long)]
    dev: bool,
    /// Directory of a built demo page [default: with --dev the one in this binary, else none].
    #[arg(long, value_name = "DIR")]
    demo_dir: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingFlags,
}

/// Why the server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting has a value that is not allowed.
    #[error(transparent)]
    Config(#[from] SettingsError),
    /// Nothing to check tokens with.
    #[error(
        "nothing is set to check tokens with, so nobody could connect. Set JWT_SECRET to the secret that your tokens are \
         signed with, or SUPABASE_URL to the address of your Supabase project (SUPABASE_JWT_SECRET for its legacy secret), \
         or try it out with `osbackend serve --dev`"
    )]
    NoSecret,
    /// There is no page to serve.
    #[error(transparent)]
    NoPage(#[from] pages::NoPage),
    /// A port could not be taken, or TLS can't be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// `/ws` of `PORT` can't be passed on.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The server could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The database of the metrics can't be used.
    #[error(transparent)]
    Database(#[from] postgres::ConnectError),
    /// Logging could not be set up.
    #[error(transparent)]
    Telemetry(#[from] telemetry::TelemetryError),
    /// The system has no randomness for a secret.
    #[error("no secret could be made: {0}. Set JWT_SECRET")]
    Random(getrandom::Error),
    /// No token could be made.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The address for the metrics could not be taken.
    #[error(transparent)]
    Metrics(#[from] telemetry::http::MetricsBindError),
    /// The system refused something else.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

impl ServeError {
    /// Whether the command line or a setting is to blame.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::NoSecret
            | Self::NoPage(_)
            | Self::Build(BuildError::NoBackend | BuildError::Hooks(_) | BuildError::Auth(SetupError::NoUrl))
            | Self::Upstream(UpstreamError::Address(_)) => true,
            Self::Listen(error) => error.is_usage(),
            _ => false,
        }
    }
}

pub(super) fn run(args: Args) -> Result<(), ServeError> {
    let (mut config, file) = args.settings.resolve(args.dev)?;
    telemetry::init(&config.logs)?;
    for name in not_there_yet(|name| std::env::var(name).ok()) {
        tracing::warn!("{name} is set, but this version has no such setting yet: it has no effect");
    }
    // Beside a real source of users it must not be possible to become an admin by asking for it.
    let dev_secret = match args.dev && !config.auth.accepts_tokens() {
        true => Some(dev::secret().map_err(ServeError::Random)?),
        false => None,
    };
    config.auth.jwt_secret = config.auth.jwt_secret.or_else(|| dev_secret.clone());
    let policy = file.policy().cloned().unwrap_or_default();
    check(&config, &policy)?;
    let page = Page::find(args.demo_dir, args.dev)?;
    let mut dev_key = None;
    if dev_secret.is_some() {
        let made = generate("dev").map_err(ServeError::Random)?;
        config.auth.api_keys.push(made.setting);
        dev_key = Some(made.key);
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(config, policy, dev_secret, dev_key, page))
}

/// Refuses what no server can be started with, by looking at nothing but the settings and the files that they name: no port is taken,
/// no directory made, nobody asked. `config check` calls it, too.
///
/// # Errors
/// What [`run`] would end with.
pub(super) fn check(config: &Config, policy: &Policy) -> Result<(), ServeError> {
    // With `--dev` a secret is made.
    if !config.auth.accepts_tokens() && !config.auth.allow_anonymous && !config.dev {
        return Err(ServeError::NoSecret);
    }
    if config.hooks.url.is_none() && policy.asks_backend() {
        return Err(BuildError::NoBackend.into());
    }
    Hooks::check(&config.hooks).map_err(BuildError::from)?;
    Authenticator::from_config(config).map_err(BuildError::from)?;
    Proxy::from_config(config)?;
    Tls::from_config(&config.listen).map_err(ListenError::from)?;
    storage::database(config)?;
    Ok(())
}

async fn serve(
    config: Config,
    policy: Policy,
    dev_secret: Option<Secret>,
    dev_key: Option<String>,
    page: Page,
) -> Result<(), ServeError> {
    let mut signals = StopSignals::new()?;
    let listeners = Listeners::bind(&config).await?;
    let (http, ws, tls) = (listeners.http_address, listeners.ws_address, listeners.is_tls());
    let metrics = match config.logs.metrics_addr {
        Some(address) => Some(telemetry::http::bind(address).await?),
        None => None,
    };

    // A database that can't be used is told at the start; later outages are waited out.
    if let Some(url) = storage::database(&config)? {
        postgres::prepare(&url).await?;
    }
    let (handover, legacy_address) = (listeners.handover, listeners.legacy_address);
    let (stop, stopped) = watch::channel(());
    let mut ports = Some(listeners);
    let build = || Realtime::builder().config(config.clone()).policy(policy.clone()).build();
    let wait = config.engine.wait_for_data_dir;
    let mut early = None;
    let realtime = match build() {
        Err(error) if !wait.is_zero() && waiting::is_in_use(&error) => {
            tracing::info!(%http, %ws, most_ms = wait.as_millis(), "waiting for the data directory: another osbackend has it");
            let late = Late::default();
            early = ports.take().map(|ports| (tokio::spawn(ports.serve(late.routers(), stopped.clone())), late));
            tokio::select! {
                built = waiting::until_free(wait, build) => built?,
                () = signals.next() => return Ok(()),
            }
        }
        built => built?,
    };
    let handle = realtime.handle();
    let pages = page.router();
    let proxy = Proxy::from_config(&config)?;
    let mut routers = Routers::from(realtime.router().merge(pages.clone()));
    if let Some(proxy) = &proxy {
        routers.http = realtime.api_router().merge(proxy.router()).merge(pages);
    }
    if let Some(address) = legacy_address {
        tracing::warn!(%address, "METRICS_WS_PORT is deprecated: let clients join dashboard:overview on WS_PORT instead");
        routers.legacy = realtime.legacy_router();
    }
    let mut feed = None;
    if config.dev {
        let mut tokens = None;
        if let Some(secret) = dev_secret {
            let dev = dev::router(&config, secret.clone());
            (routers.http, routers.ws) = (routers.http.merge(dev.clone()), routers.ws.merge(dev));
            tokens = Some(dev::Tokens::sign(&secret, None)?);
        }
        let shown = dev::Shown { api_key: dev_key.unwrap_or_default(), page: page.is_there() };
        say(&dev::banner(http, ws, tls, tokens.as_ref(), &shown));
        if let Some(warning) = dev::warning(config.listen.host) {
            tracing::warn!("{warning}");
            say(&format!("WARNING: {warning}\n"));
        }
        let mut business = Feed::new(now_seed());
        demo_feed::fill_in(&handle, &mut business).await;
        feed = Some(tokio::spawn(demo_feed::run(handle.clone(), business)));
    }
    for (name, secret) in [("JWT_SECRET", &config.auth.jwt_secret), ("SUPABASE_JWT_SECRET", &config.auth.supabase_jwt_secret)] {
        if secret.as_ref().is_some_and(|secret| secret.reveal().len() < GOOD_SECRET_BYTES) {
            tracing::warn!("{name} is shorter than {GOOD_SECRET_BYTES} bytes: it could be guessed from a token");
        }
    }
    if config.auth.supabase_url.as_ref().is_some_and(|url| url.starts_with("http://")) {
        tracing::warn!("SUPABASE_URL is no https:// address: who is between here and there could make up users");
    }
    let mut metrics_at = String::new();
    if let Some(listener) = metrics {
        let address = listener.local_addr()?;
        tracing::info!(%address, "metrics");
        metrics_at = format!(" metrics={address}");
        tokio::spawn(telemetry::http::serve(listener, handle.clone()));
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %ws, %http, engine = handle.stats().engine, dev = config.dev, "listening");
    // For programs that start this one: the real ports, whatever the log's form and filter.
    let secure = if tls { "s" } else { "" };
    let legacy = legacy_address.map(|address| format!(" metrics-ws{secure}={address}")).unwrap_or_default();
    say(&format!("listening ws{secure}={ws} http{secure}={http}{legacy}{metrics_at}"));

    let serving = match (early, ports) {
        (Some((serving, late)), _) => {
            late.set(routers);
            Some(serving)
        }
        (None, Some(ports)) => Some(tokio::spawn(ports.serve(routers, stopped))),
        (None, None) => None,
    };
    signals.next().await;
    tracing::info!("stopping: clients are told when to reconnect; a second signal stops at once");
    let window = config.liveness.drain;
    // Until the drain ends the ports answer, with 503: a successor can't serve before. But where it shares them, they are its own
    // from here on.
    let closes_after = match handover {
        Handover::Shared => Some(Duration::ZERO),
        Handover::Kept => Some(handle.drain_window(window).saturating_sub(LEFT_TO_NEXT)),
        Handover::Close => None,
    };
    let passed_on = async {
        if let Some(proxy) = &proxy {
            proxy.drain(window).await;
        }
    };
    // All at once: together they end within the window, which a service manager was told (deploy/).
    let leave = async {
        let mut drained = pin!(async { tokio::join!(handle.drain(window), passed_on) });
        let is_over = tokio::time::timeout(closes_after.unwrap_or(Duration::MAX), drained.as_mut()).await.is_ok();
        drop(stop);
        if !is_over {
            drained.await;
        }
        if let Some(serving) = serving {
            let _ = serving.await;
        }
    };
    tokio::select! {
        () = leave => {}
        () = signals.next() => {}
    }
    // It would go on to publish into an engine that is stopping.
    if let Some(feed) = feed {
        feed.abort();
        let _ = feed.await;
    }
    // What is acknowledged is in the file already; this leaves it tidy, and free for a successor.
    tokio::task::spawn_blocking(move || handle.stop()).await.map_err(std::io::Error::other)?;
    Ok(())
}

/// Another story at each start.
fn now_seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
