//! The application's backend, in any language: asked before clients do things, told of what they did (docs/PROTOCOL.md,
//! "Webhooks").
//!
//! A question fails closed: where no answer comes in time, or none that can be used, the client is told `unavailable`. A
//! notification is delivered at least once, with an id to tell repetitions by, unless the backend is gone for long.

mod answer;
mod breaker;
mod call;
mod client;
mod kind;
mod notify;
mod queue;
mod sign;
mod stats;

pub use answer::Decision;
pub use call::{Call, Topic};
pub use sign::{
    DELIVERY_HEADER, EVENT_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, TOLERANCE_SECONDS, VerifyError, verify, verify_at,
};
pub use stats::{BUCKETS_MS, Count, Durations, HookStats};

use crate::{
    clock::Clock,
    config::{self, HookEvent},
    handlers::CustomReply,
    hub::Hub,
    session::Verdict,
    telemetry::{LeftOut, Seldom},
};
use client::{CallError, Client};
use kind::{Kind, Places};
use osbackend_protocol::{ErrorBody, ErrorCode};
use queue::{Notice, Queue};
use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::sync::oneshot;

/// What a client is told to wait after a question that failed, where nothing better is known, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// Why no backend can be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookSetupError {
    /// Requests could not be signed.
    #[error("WEBHOOK_URL is set, but WEBHOOK_SECRET is not: set it to a secret that your backend knows too")]
    NoSecret,
    /// The address.
    #[error("WEBHOOK_URL must be an http:// or https:// address")]
    Url,
    /// The HTTP client.
    #[error("WEBHOOK_URL can't be called from here: {0}")]
    Http(String),
}

fn secret_of(settings: &config::Hooks) -> Result<&config::Secret, HookSetupError> {
    settings.secret.as_ref().filter(|secret| !secret.reveal().is_empty()).ok_or(HookSetupError::NoSecret)
}

struct Inner {
    client: Arc<Client>,
    queue: Arc<Queue>,
    stats: Arc<HookStats>,
    hub: Arc<Hub>,
    clock: Clock,
    places: Places,
    lanes: RandomState,
    events: Vec<HookEvent>,
    flush: Duration,
    tasks: Vec<tokio::task::AbortHandle>,
    seldom: Seldom,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

/// The backend. Cloning shares it.
#[derive(Clone)]
pub struct Hooks(Arc<Inner>);

impl Hooks {
    /// Whether a backend could be made of these settings: nothing is sent.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn check(settings: &config::Hooks) -> Result<(), HookSetupError> {
        let Some(url) = &settings.url else { return Ok(()) };
        Client::new(url, secret_of(settings)?, settings, Clock::start(), Arc::default())?;
        Ok(())
    }

    /// The backend of `settings`, if they name one. `runtime` delivers the notifications, `hub` takes what answers publish.
    ///
    /// # Errors
    /// Its requests could not be signed or sent.
    pub fn new(
        settings: &config::Hooks,
        hub: Arc<Hub>,
        clock: Clock,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Option<Self>, HookSetupError> {
        let Some(url) = &settings.url else { return Ok(None) };
        let secret = secret_of(settings)?;
        let stats = Arc::new(HookStats::default());
        let client = Arc::new(Client::new(url, secret, settings, clock.clone(), stats.clone())?);
        let queue = Arc::new(Queue::new(settings.queue));
        let tasks = notify::spawn(runtime, &queue, &client, &stats, settings.backoff);
        let (events, flush, lanes) = (settings.events.clone(), settings.flush, RandomState::new());
        let places = Places::default();
        Ok(Some(Self(Arc::new(Inner {
            client,
            queue,
            stats,
            hub,
            clock,
            places,
            lanes,
            events,
            flush,
            tasks,
            seldom: Seldom::default(),
        }))))
    }

    /// Whether it is asked or told about such events.
    pub fn takes(&self, event: HookEvent) -> bool {
        self.0.events.contains(&event)
    }

    /// What was counted.
    pub fn stats(&self) -> &Arc<HookStats> {
        &self.0.stats
    }

    /// Whether a circuit breaker is open: questions of some kind fail at once.
    pub fn is_open(&self) -> bool {
        self.0.client.is_open()
    }

    /// Notifications that wait or are on their way.
    pub fn waiting(&self) -> usize {
        self.0.queue.open()
    }

    /// Asks, publishes what the answer says, and returns its decision; or in how many milliseconds to try again.
    ///
    /// # Errors
    /// No answer came, or none that can be used; why is in the log.
    async fn decide(&self, call: &Call) -> Result<Decision, u64> {
        let begin = std::time::Instant::now();
        let event = call.topic.event();
        // The wait for a free place counts: a client waits no longer for a busy backend than for a slow one.
        let asked = tokio::time::timeout(self.0.client.timeout(), self.post(call)).await;
        self.0.stats.questions.add(begin.elapsed());
        let body = match asked.unwrap_or(Err(CallError::Timeout)) {
            Ok(body) => body,
            Err(CallError::Open { retry_after_ms }) => return Err(retry_after_ms),
            Err(CallError::Busy) => return Err(RETRY_AFTER_MS),
            Err(error) => {
                if let Some(left_out) = self.tells("question failed", event) {
                    tracing::warn!(event, %error, left_out, "a webhook question failed");
                }
                return Err(RETRY_AFTER_MS);
            }
        };
        let answer = answer::read(&body).map_err(|what| {
            if let Some(left_out) = self.tells("answer can't be used", event) {
                tracing::warn!(event, what, left_out, "the webhook backend's answer can't be used");
            }
            RETRY_AFTER_MS
        })?;
        for event in answer.publish {
            self.publish(event).await?;
        }
        Ok(answer.decision)
    }

    /// Whether a line of this kind is to be logged now: a client can ask as often as it likes.
    fn tells(&self, kind: &'static str, event: &'static str) -> Option<LeftOut> {
        self.0.seldom.admits(kind, event, self.0.clock.now_ms())
    }

    async fn post(&self, call: &Call) -> Result<Vec<u8>, CallError> {
        let (kind, asker) = (Kind::of(&call.topic), kind::asker(call));
        let _place = self.0.places.take(kind, asker.clone()).await.ok_or(CallError::Busy)?;
        let delivery_id = self.0.hub.new_id("d");
        let body = call.body(&delivery_id, self.0.clock.wall_ms());
        self.0.client.post(kind, &asker, (call.topic.event(), &delivery_id, body)).await
    }

    async fn publish(&self, event: answer::ToPublish) -> Result<(), u64> {
        let new = self.0.hub.new_event(&event.kind, event.data, event.classified);
        let (tell, told) = oneshot::channel();
        let done = Box::new(move |result| {
            // Nobody waits any more where the server is stopping.
            let _ = tell.send(result);
        });
        self.0.hub.publish(event.room, new, self.0.clock.now_ms(), done);
        match told.await {
            Ok(Ok(_)) => {
                self.0.stats.published.add();
                Ok(())
            }
            Ok(Err(error)) => {
                if let Some(left_out) = self.tells("not published", "publish") {
                    tracing::error!(%error, left_out, "an event of the webhook backend's answer was not published");
                }
                Err(RETRY_AFTER_MS)
            }
            Err(_) => Err(RETRY_AFTER_MS),
        }
    }

    /// Asks a question.
    pub async fn ask(&self, call: Call) -> Verdict {
        let stats = &self.0.stats;
        match self.decide(&call).await {
            Ok(Decision::Allow) => {
                stats.allowed.add();
                Verdict::Allow
            }
            Ok(Decision::Deny { code, message }) => {
                stats.denied.add();
                Verdict::Deny { code, message }
            }
            Ok(Decision::Nothing | Decision::Reply { .. }) => {
                stats.unavailable.add();
                let event = call.topic.event();
                if let Some(left_out) = self.tells("neither yes nor no", event) {
                    tracing::warn!(
                        event,
                        left_out,
                        "the webhook backend answered neither yes nor no: say {{\"allow\": true}} or deny"
                    );
                }
                Verdict::Unavailable { retry_after_ms: RETRY_AFTER_MS }
            }
            Err(retry_after_ms) => {
                stats.unavailable.add();
                Verdict::Unavailable { retry_after_ms }
            }
        }
    }

    /// Hands it a custom message; its answer is a handler's.
    ///
    /// # Errors
    /// It denied it, or could not be asked.
    pub async fn handle(&self, call: Call) -> Result<CustomReply, ErrorBody> {
        let stats = &self.0.stats;
        match self.decide(&call).await {
            Ok(Decision::Reply { kind, data }) => {
                stats.allowed.add();
                Ok(CustomReply { kind, data })
            }
            Ok(Decision::Allow | Decision::Nothing) => {
                stats.allowed.add();
                Ok(CustomReply::ok())
            }
            Ok(Decision::Deny { code, message }) => {
                stats.denied.add();
                Err(ErrorBody::new(code, message))
            }
            Err(retry_after_ms) => {
                stats.unavailable.add();
                let mut error = ErrorBody::new(ErrorCode::Unavailable, "the backend can't be asked now: try again later");
                error.retry_after_ms = Some(retry_after_ms);
                Err(error)
            }
        }
    }

    /// Tells it of something, soon.
    pub fn notify(&self, call: &Call) {
        let delivery_id = self.0.hub.new_id("d").to_string();
        let body = call.body(&delivery_id, self.0.clock.wall_ms());
        let lane = usize::try_from(self.0.lanes.hash_one(&*call.client_id) % queue::LANES as u64).unwrap_or(0);
        if self.0.queue.push(lane, Notice { event: call.topic.event(), delivery_id, body, asker: kind::asker(call) }) {
            let dropped = self.0.stats.dropped.get();
            self.0.stats.dropped.add();
            // Once per power of two: a line for each would bury the log.
            if (dropped + 1).is_power_of_two() {
                let dropped = dropped + 1;
                tracing::warn!(dropped, "too many webhook notifications wait: the oldest are dropped");
            }
        }
    }

    /// Waits until every notification is delivered, or given up; not longer than the setting allows.
    pub async fn flush(&self) {
        if tokio::time::timeout(self.0.flush, self.0.queue.emptied()).await.is_err() {
            tracing::warn!(waiting = self.waiting(), "some webhook notifications were not delivered before the end");
        }
    }
}
