//! What a client can be told before it starts.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use osbackend_client_core::{BackoffConfig, Config};
use tokio::sync::{mpsc, watch};

use crate::client::Client;
use crate::error::StartError;
use crate::incoming::Incoming;
use crate::socket::Target;
use crate::task;

/// What happens when [`Incoming`] is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The socket isn't read until there is room: nothing is lost. Who takes nothing for longer than the server's patience
    /// (about 35 s, or its queue's bound) is reconnected, and recovers by position.
    #[default]
    Wait,
    /// Events are dropped, and [`crate::Notice::Dropped`] tells how many; for those who only want what is newest.
    Drop,
}

/// The answer of a token provider: a token, none (anonymous), or why there is none.
pub(crate) type TokenAnswer = Result<Option<String>, String>;
type TokenFuture = Pin<Box<dyn Future<Output = TokenAnswer> + Send>>;
pub(crate) type TokenProvider = Arc<dyn Fn() -> TokenFuture + Send + Sync>;

/// A client that isn't started yet; see [`Client::builder`].
#[derive(Clone)]
pub struct Builder {
    url: String,
    provider: TokenProvider,
    token_is_fixed: bool,
    config: Config,
    capacity: usize,
    when_full: WhenFull,
    roots: Option<Vec<u8>>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("url", &self.url).field("config", &self.config).finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            provider: Arc::new(|| Box::pin(async { Ok(None) })),
            token_is_fixed: true,
            config: Config {
                client: Some(concat!("osbackend-client/", env!("CARGO_PKG_VERSION")).to_owned()),
                backoff: BackoffConfig { initial_ms: 1_000, attempts: 0, ..BackoffConfig::default() },
                ..Config::default()
            },
            capacity: 1_024,
            when_full: WhenFull::default(),
            roots: None,
        }
    }

    /// The token of every connection. It travels in `connect`, never in the address. Where the server refuses it, the connection
    /// is closed for good: a client that is to live longer than its token has a [`Self::token_provider`].
    #[must_use]
    pub fn token(self, token: impl Into<String>) -> Self {
        let token = token.into();
        let client = self.token_provider(move || {
            let token = token.clone();
            async move { Ok(Some(token)) }
        });
        Self { token_is_fixed: true, ..client }
    }

    /// Asked for a token before each attempt, and a minute before the one in use expires. `Ok(None)` connects anonymously;
    /// an error is a failed attempt with that reason. Where the server refuses its token, it is asked again with backoff: the connection
    /// is closed for good (4501) after three refusals in a row of answers that differ, or of the same answer for a full backoff.
    #[must_use]
    pub fn token_provider<F, T>(mut self, provider: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<Option<String>, String>> + Send + 'static,
    {
        self.provider = Arc::new(move || Box::pin(provider()));
        self.token_is_fixed = false;
        self
    }

    /// Name and version that the server logs.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.client = Some(name.into());
        self
    }

    /// How failed attempts are spaced; by default from 1 s to 30 s, without an end.
    #[must_use]
    pub fn backoff(mut self, backoff: BackoffConfig) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// Time for an answer, the wait for a connection included; 10 s by default.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.config.request_timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// How long an event is tried to be published, over reconnects; 1 minute by default, and at most 285 s once it was sent.
    #[must_use]
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.config.publish_timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// How many notices may wait in [`Incoming`], at least 1 (1,024 by default), and what happens when they are that many.
    #[must_use]
    pub fn queue(mut self, capacity: usize, when_full: WhenFull) -> Self {
        self.capacity = capacity.max(1);
        self.when_full = when_full;
        self
    }

    /// Root certificates (PEM) to trust beside the system's: for a server with a certificate of its own.
    #[must_use]
    pub fn extra_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Starts the client's task, which begins to connect at once, and goes on until [`Client::close`] or until the last
    /// [`Client`] is dropped.
    ///
    /// # Errors
    /// The address, or the certificates, can't be used; or there is no tokio runtime here.
    pub fn start(self) -> Result<(Client, Incoming), StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let target = Target::new(&self.url, self.roots.as_deref())?;
        let (commands, wanted) = mpsc::channel(64);
        let (notices, incoming) = mpsc::channel(self.capacity);
        let (state, states) = watch::channel(osbackend_client_core::ConnectionState::Idle);
        let Self { provider, token_is_fixed, config, when_full, .. } = self;
        let task = task::Setup { target, provider, token_is_fixed, config, when_full, notices, state };
        runtime.spawn(task::run(task, wanted));
        Ok((Client::new(commands, states), Incoming { notices: incoming }))
    }
}
