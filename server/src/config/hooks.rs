//! The settings of the backend that is asked and told by HTTP (docs/PROTOCOL.md, "Webhooks").

use super::Secret;
use std::{fmt, time::Duration};

/// Backends that are asked and told by HTTP.
#[derive(Clone)]
pub struct Hooks {
    /// Where the events are sent; `None`: nowhere.
    pub url: Option<String>,
    /// Secret of their signatures.
    pub secret: Option<Secret>,
    /// Which are sent.
    pub events: Vec<HookEvent>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Notifications that may wait. Not a setting of §10; a field so that tests can shrink it, as the following.
    pub queue: usize,
    /// The first and the longest wait before a notification is tried again.
    pub backoff: (Duration, Duration),
    /// How long a backend that failed again and again is left alone.
    pub breaker_open: Duration,
    /// How long a shutdown waits for the last notifications.
    pub flush: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            url: None,
            secret: None,
            events: Vec::new(),
            timeout: Duration::from_secs(3),
            queue: 10_000,
            backoff: (Duration::from_millis(500), Duration::from_secs(30)),
            breaker_open: Duration::from_secs(5),
            flush: Duration::from_secs(5),
        }
    }
}

/// An address may hold a secret in its query.
impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_ref().map(|_| "[redacted]");
        f.debug_struct("Hooks")
            .field("url", &url)
            .field("events", &self.events)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A kind of event that is sent to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookEvent {
    /// A client is about to be greeted.
    Connect,
    /// A client is gone.
    Disconnect,
    /// A client wants to join a room.
    Join,
    /// A client wants to publish an event.
    Publish,
    /// A client sent a message of a type that no handler takes.
    Custom,
}

impl HookEvent {
    /// Every kind with its name in `WEBHOOK_EVENTS`.
    pub const ALL: [(&'static str, Self); 5] = [
        ("connect", Self::Connect),
        ("disconnect", Self::Disconnect),
        ("join", Self::Join),
        ("publish", Self::Publish),
        ("custom", Self::Custom),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_address_nor_the_secret_is_shown() {
        let (url, secret) = (Some("https://backend/hook?key=hidden".to_owned()), Some("hidden too".into()));
        let shown = format!("{:?}", Hooks { url, secret, ..Hooks::default() });
        assert!(!shown.contains("hidden") && shown.contains("redacted"), "{shown}");
    }
}
