//! What an application can set about its connection, with the defaults of the product.

use serde::Deserialize;

/// How failed attempts are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackoffConfig {
    /// Delay after the first failure, in milliseconds, before jitter.
    pub initial_ms: u64,
    /// The delay never grows beyond this, in milliseconds.
    pub max_ms: u64,
    /// What the delay is multiplied with after each failure; at least 1.
    pub factor: f64,
    /// Attempts of one series, after which the client rests; 0 means that a series never ends.
    pub attempts: u32,
    /// Share of the delay that is random, 0 to 1: the delay is uniform in `[1 - jitter, 1]` × the capped delay.
    pub jitter: f64,
    /// A session that lived this long, in milliseconds, makes the next failure the first one again.
    pub reset_after_ms: u64,
    /// How long the client rests after a series before it begins another one by itself, in milliseconds, before `jitter`; 0
    /// means that it doesn't.
    pub rest_ms: u64,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self { initial_ms: 5_000, max_ms: 30_000, factor: 2.0, attempts: 10, jitter: 0.5, reset_after_ms: 5_000, rest_ms: 60_000 }
    }
}

/// Everything that a [`crate::Machine`] can be told in advance.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// Accept several messages in one frame (§7).
    pub batch: bool,
    /// Name and version of the client, for the server's log.
    pub client: Option<String>,
    /// The fingerprint of the contract that the client was built with (§3).
    pub schema: Option<String>,
    /// How failed attempts are spaced.
    pub backoff: BackoffConfig,
    /// Time for an answer, in milliseconds, where a request doesn't say its own.
    pub request_timeout_ms: u64,
    /// Time for the answer to a publish, in milliseconds, over reconnects; where a publish doesn't say its own. Whatever it
    /// is, none is written again 5 minutes after it was written first.
    pub publish_timeout_ms: u64,
    /// Most messages that wait for the connection; beyond it the oldest is refused.
    pub queue_limit: usize,
    /// Time for each step of connecting (token, socket, greeting), in milliseconds.
    pub connect_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch: true,
            client: None,
            schema: None,
            backoff: BackoffConfig::default(),
            request_timeout_ms: 10_000,
            publish_timeout_ms: 60_000,
            queue_limit: 256,
            connect_timeout_ms: 10_000,
        }
    }
}
