//! The server as a value: built from settings, mounted as a router, driven through a cloneable handle.

use crate::{
    api::{self, CallLimits},
    auth::{Authenticator, SetupError, api_key::ApiKeys, origin::OriginPolicy, resume::ResumeKeys, resume_key::ResumeKeyError},
    clock::Clock,
    config::{Config, EngineKind},
    connection::Shared,
    engine::{Retention, Retentions},
    gateway::{self, Door, Gateway, Hints, upgrade::Bounds},
    handlers::Handlers,
    hooks::{HookSetupError, Hooks},
    hub::{Hub, presence::PresenceOptions},
    session::{Mode, SessionSettings},
    storage::{self, StorageError},
    telemetry,
};
use axum::middleware::from_fn_with_state;
use osbackend_protocol::Policy;
use std::{
    future::poll_fn,
    path::PathBuf,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

pub use crate::handle::{Emission, Emitted, Handle, PublishError, Stats, Totals};

/// How often rooms that hold nothing and nobody are dropped.
const SWEEP: Duration = Duration::from_secs(30);
const WHY_NO_SECRET: &str = "nothing to check tokens with: set JWT_SECRET (or Realtime::builder().jwt_secret(…)), \
    SUPABASE_URL or SUPABASE_JWT_SECRET, or allow anonymous clients";

/// Why a server can't be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Nobody could ever authenticate.
    #[error("{WHY_NO_SECRET}")]
    NoSecret,
    /// The settings about tokens don't fit together, or can't be used here.
    #[error(transparent)]
    Auth(#[from] SetupError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The backend that is to be asked.
    #[error(transparent)]
    Hooks(#[from] HookSetupError),
    /// A rule leaves something to a backend, and there is none.
    #[error(
        "the policy says `webhook`, but no backend is there to be asked: set WEBHOOK_URL and WEBHOOK_SECRET, or change the rule"
    )]
    NoBackend,
    /// What is kept can't be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The key of resume tokens can't be kept.
    #[error(transparent)]
    ResumeKey(#[from] ResumeKeyError),
    /// Built outside of a tokio runtime.
    #[error("build the server inside a tokio runtime")]
    NoRuntime,
}

/// Makes a [`Realtime`].
#[derive(Clone, Debug)]
pub struct Builder {
    config: Config,
    policy: Policy,
}

/// As [`Config::default`], but with streams in memory: a library writes no files that it wasn't asked for.
impl Default for Builder {
    fn default() -> Self {
        let mut config = Config::default();
        config.engine.kind = EngineKind::Memory;
        Self { config, policy: Policy::default() }
    }
}

impl Builder {
    /// All settings at once: where streams live is among them.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Accepts HS256 tokens signed with this secret; at least 32 bytes.
    pub fn jwt_secret(mut self, secret: impl Into<String>) -> Self {
        self.config.auth.jwt_secret = Some(secret.into().into());
        self
    }

    /// Lets clients without a token stay (§1).
    pub fn allow_anonymous(mut self, allow: bool) -> Self {
        self.config.auth.allow_anonymous = allow;
        self
    }

    /// Keeps streams in a file in this directory, for this process alone: they go on after a restart.
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.config.engine.kind = EngineKind::Sqlite;
        self.config.engine.data_dir = dir.into();
        self
    }

    /// Who may do what; the default is [`Policy::default`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Builds the server; to be called inside a tokio runtime.
    pub fn build(self) -> Result<Realtime, BuildError> {
        let Self { config, policy } = self;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        if !config.auth.accepts_tokens() && !config.auth.allow_anonymous {
            return Err(BuildError::NoSecret);
        }
        if config.hooks.url.is_none() && policy.asks_backend() {
            return Err(BuildError::NoBackend);
        }
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random)?;
        let process = format!("{:x}", u64::from_le_bytes(random));

        let clock = Clock::start();
        let retention = Retention {
            events: config.engine.history_size.unwrap_or(usize::MAX),
            age_ms: config.engine.history_ttl.map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(0)),
        };
        let policy = Arc::new(policy);
        let snapshot_ms = config.engine.snapshot_ttl.map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(0));
        let retentions = Retentions::new(retention, policy.clone()).with_snapshots(snapshot_ms);
        let (engine, metrics) = storage::open(&config, &process, retentions, &clock)?;
        // After the engine, which has made the directory and locked it.
        let resume = ResumeKeys::from_config(&config)?;
        let grace_ms = u64::try_from(config.liveness.presence_grace.as_millis()).unwrap_or(u64::MAX / 4);
        let presence = PresenceOptions::new(grace_ms, config.liveness.presence_limit.unwrap_or(0), clock.now_ms());
        let hub = Hub::new(engine, process, presence).with_ahead(clock.ahead().clone()).share();
        runtime.spawn(tell_presence(Arc::downgrade(&hub), clock.clone()));
        let (sweeping, following) = (Arc::downgrade(&hub), clock.clone());
        runtime.spawn(async move {
            let mut tick = tokio::time::interval(SWEEP);
            loop {
                tick.tick().await;
                let Some(hub) = sweeping.upgrade() else { return };
                following.follow();
                hub.sweep(following.now_ms());
            }
        });
        let authenticator = Authenticator::from_config(&config)?;
        let settings = SessionSettings { ahead: clock.ahead().clone(), ..SessionSettings::new(&config, policy, resume) };
        let settings = Arc::new(settings);
        let hooks = Hooks::new(&config.hooks, hub.clone(), clock.clone(), &runtime)?;
        let shared = Shared {
            hub,
            settings,
            handlers: Handlers::default(),
            hooks,
            metrics,
            outbox_bytes: config.limits.outbox_bytes.unwrap_or(0),
            meters: Arc::default(),
            started_ms: clock.now_ms(),
        };
        let door = Door::new(&config.limits, clock.clone());
        let handle = Handle::new(Arc::new(shared), authenticator, clock).with_connect_rate(config.limits.connect_rate);
        let call_limits = CallLimits::from_config(&config);
        Ok(Realtime { handle, door, hints: Hints::default(), call_limits, config })
    }
}

/// Tells who is gone, each when it is time, for as long as the server is there.
async fn tell_presence(hub: Weak<Hub>, clock: Clock) {
    let next = |cx: &mut Context<'_>| match hub.upgrade() {
        Some(hub) => hub.poll_next_presence(cx).map(Some),
        None => Poll::Ready(None),
    };
    while let Some(at) = poll_fn(next).await {
        tokio::time::sleep_until(clock.instant(at).into()).await;
        if let Some(hub) = hub.upgrade() {
            hub.presence_due(clock.now_ms());
        }
    }
}

/// A running server, to be mounted in an axum application.
pub struct Realtime {
    handle: Handle,
    door: Door,
    hints: Hints,
    call_limits: CallLimits,
    config: Config,
}

impl Realtime {
    /// Begins a server with default settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The handle: publish, count, disconnect, from anywhere in the process.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// `/ws` and the API (§9). Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, so that the limits
    /// per address count.
    pub fn router(&self) -> axum::Router {
        self.socket_router().merge(self.api_router())
    }

    /// `/metrics` alone, for a port of its own: [`Self::router`] has it unless `METRICS_ADDR` is set.
    pub fn metrics_router(&self) -> axum::Router {
        telemetry::http::router(&self.handle)
    }

    /// `/ws` alone.
    pub fn socket_router(&self) -> axum::Router {
        gateway::router(self.gateway(None))
    }

    /// The API alone (§9) and `/metrics`, for a port whose `/ws` is another process's: see [`crate::proxy`].
    pub fn api_router(&self) -> axum::Router {
        let options = api::Options {
            keys: ApiKeys::new(&self.config.auth.api_keys),
            origins: OriginPolicy::from_config(&self.config),
            trusted_proxies: self.config.listen.trusted_proxies.clone().into(),
            limits: self.call_limits.clone(),
            body_timeout: self.config.limits.message_timeout,
        };
        let router = api::router(self.handle.clone(), options);
        match self.config.logs.metrics_addr {
            Some(_) => router,
            None => {
                let limited = from_fn_with_state((self.call_limits.clone(), self.handle.clone()), api::charge_scrape);
                router.merge(self.metrics_router().layer(limited))
            }
        }
    }

    /// The feed of the legacy port (`METRICS_WS_PORT`), at every path: `metric_update` frames without a join.
    pub fn legacy_router(&self) -> axum::Router {
        gateway::legacy_router(self.gateway(Some(Mode::Legacy)))
    }

    fn gateway(&self, mode: Option<Mode>) -> Gateway {
        Gateway {
            handle: self.handle.clone(),
            door: self.door.clone(),
            hints: self.hints.clone(),
            origins: OriginPolicy::from_config(&self.config),
            bounds: Bounds {
                max_message_bytes: self.config.limits.max_message_bytes.unwrap_or(usize::MAX),
                message_timeout: self.config.limits.message_timeout,
            },
            trusted_proxies: self.config.listen.trusted_proxies.clone().into(),
            mode,
        }
    }
}
