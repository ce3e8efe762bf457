//! One signed POST to the backend, within bounds: of time, of the answer's size, and to the configured address only.

use super::{
    HookSetupError,
    breaker::{Breaker, Failure},
    kind::Kind,
    sign::{DELIVERY_HEADER, EVENT_HEADER, SIGNATURE_HEADER, Signer, TIMESTAMP_HEADER},
    stats::HookStats,
};
use crate::{
    clock::Clock,
    config::{Hooks as Settings, Secret},
};
use reqwest::{
    StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect,
};
use std::{sync::Arc, time::Duration};

/// Largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// Idle connections to the backend that are kept.
const IDLE_CONNECTIONS: usize = 16;

/// Why an attempt failed. No variant holds the address, which may have a secret in its query, or what the backend sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// The breaker is open.
    #[error("the backend failed again and again and is left alone for {retry_after_ms} ms")]
    Open { retry_after_ms: u64 },
    /// The user, or the address, has as many questions waiting as may.
    #[error("too many questions of one user wait for an answer")]
    Busy,
    /// No answer in time.
    #[error("no answer within WEBHOOK_TIMEOUT")]
    Timeout,
    /// No connection: whatever was asked, nobody is there.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// It broke.
    #[error("no answer: {0}")]
    Network(String),
    /// An answer that is none of 2xx.
    #[error("status {0}")]
    Status(u16),
    /// A longer answer than is read.
    #[error("the answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
}

impl CallError {
    /// Whether the backend itself is in trouble, so that it is to be left alone, and the same request may be fine later. One
    /// that answers 4xx lives: what it dislikes is the request, and no client may open the breaker with such ones.
    pub(super) fn is_trouble(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Timeout | Self::Unreachable(_) | Self::Network(_) => true,
            Self::Status(status) => *status >= 500 || matches!(status, 408 | 425 | 429),
            Self::TooLong | Self::Busy => false,
        }
    }
}

/// Sends requests.
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    signer: Signer,
    clock: Clock,
    timeout: Duration,
    breakers: [Breaker; Kind::ALL.len()],
    stats: Arc<HookStats>,
}

impl Client {
    pub(super) fn new(
        url: &str,
        secret: &Secret,
        settings: &Settings,
        clock: Clock,
        stats: Arc<HookStats>,
    ) -> Result<Self, HookSetupError> {
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or(HookSetupError::Url)?;
        let http = reqwest::Client::builder()
            // The signature is for this address; another one might not be the application's.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .user_agent(concat!("osbackend/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| HookSetupError::Http(error.without_url().to_string()))?;
        let open_ms = u64::try_from(settings.breaker_open.as_millis()).unwrap_or(u64::MAX / 4);
        let breakers = Kind::ALL.map(|_| Breaker::new(open_ms));
        Ok(Self { http, url, signer: Signer::new(secret.reveal()), clock, timeout: settings.timeout, breakers, stats })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether requests of some kind are refused now.
    pub(super) fn is_open(&self) -> bool {
        self.breakers.iter().any(Breaker::is_open)
    }

    /// Makes one attempt, with the event's name, the delivery's id and the body; the answer's body. A failure is counted to `asker`.
    pub(super) async fn post(
        &self,
        kind: Kind,
        asker: &str,
        (event, delivery_id, body): (&'static str, &str, String),
    ) -> Result<Vec<u8>, CallError> {
        let breaker = &self.breakers[kind.index()];
        breaker.pass(self.clock.now_ms()).map_err(|retry_after_ms| CallError::Open { retry_after_ms })?;
        let result = match tokio::time::timeout(self.timeout, self.exchange(event, delivery_id, body)).await {
            Ok(result) => result,
            Err(_) => Err(CallError::Timeout),
        };
        match &result {
            Err(error) if error.is_trouble() => {
                let failure = match error {
                    CallError::Unreachable(_) => Failure::OfBackend,
                    _ => Failure::Of(asker),
                };
                if breaker.failed(failure, self.clock.now_ms()) {
                    self.stats.opened.add();
                    tracing::warn!(%error, ?kind, "the webhook backend fails: it is left alone for a while");
                }
            }
            _ => breaker.succeeded(),
        }
        result
    }

    async fn exchange(&self, event: &'static str, delivery_id: &str, body: String) -> Result<Vec<u8>, CallError> {
        let timestamp = (self.clock.wall_ms() / 1000).to_string();
        let mut headers = HeaderMap::new();
        let text = |text: &str| HeaderValue::from_str(text).map_err(|error| CallError::Network(error.to_string()));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(EVENT_HEADER, HeaderValue::from_static(event));
        headers.insert(DELIVERY_HEADER, text(delivery_id)?);
        headers.insert(SIGNATURE_HEADER, text(&self.signer.sign(&timestamp, body.as_bytes()))?);
        headers.insert(TIMESTAMP_HEADER, text(&timestamp)?);
        let request = self.http.post(self.url.clone()).headers(headers).body(body);
        let mut response = request.send().await.map_err(network)?;
        if !response.status().is_success() {
            return Err(CallError::Status(response.status().as_u16()));
        }
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Vec::new());
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            if answer.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(CallError::TooLong);
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

/// The whole chain of causes, without the address.
fn network(error: reqwest::Error) -> CallError {
    let error = error.without_url();
    let to_connect = error.is_connect();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    if to_connect { CallError::Unreachable(text) } else { CallError::Network(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_backend_in_trouble_is_left_alone() {
        let status = |status| CallError::Status(status).is_trouble();
        assert!(status(500) && status(503) && status(429) && CallError::Timeout.is_trouble());
        assert!(!status(400) && !status(401) && !status(404) && !status(302) && !CallError::TooLong.is_trouble());
    }
}
