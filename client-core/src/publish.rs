//! A publish: what the application says of it, its idempotency key, and what became of its attempts.
//!
//! A publish outlives its connection. With its key (§3) the server stores it once, however often it is written; so it is
//! written again, at its place among the others, until it is answered or the server may have forgotten the key.

use crate::{
    backoff::Rng,
    frames::json,
    pending::{Failure, Message},
};

/// How long after its first attempt a publish may be written again, in milliseconds. The server remembers keys for 5 minutes;
/// the rest is for frames on their way.
pub(crate) const WINDOW_MS: u64 = 285_000;
/// Publishes that are written and not answered, at most: they are kept. Further ones wait in the queue.
pub(crate) const MOST_FLYING: usize = 1_024;

/// An event that the application publishes; see [`crate::Machine::publish`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publish {
    /// Where to.
    pub room: String,
    /// Its name.
    pub kind: String,
    /// Its data, a JSON object as text.
    pub data: Option<String>,
    /// The application's own key, of 1 to 128 bytes; the machine makes one when `None`.
    pub idempotency_key: Option<String>,
    /// For who is there now only: it gets no key of the machine's, and is written once.
    pub ephemeral: bool,
    /// Milliseconds until it has to be answered, over reconnects; the configured time when `None`.
    pub timeout_ms: Option<u64>,
}

/// Where a publish stands: events of one room keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The room that it goes to.
    pub room: String,
    /// Its idempotency key.
    pub key: String,
}

/// What became of a publish so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempts {
    pub(crate) lane: Lane,
    /// Whether it was written and nothing came of it yet.
    pub(crate) flying: bool,
    /// When it was written first.
    pub(crate) first_at: Option<u64>,
    /// Whose its key was when it was written last.
    pub(crate) scope: u64,
    /// Whether an attempt may have been stored, though its answer never came.
    pub(crate) lost: bool,
    /// What the server said last.
    pub(crate) refused: Option<Failure>,
    /// The server of this connection refused it for now: not before this time.
    pub(crate) again_at: Option<u64>,
}

impl Attempts {
    pub(crate) fn new(lane: Lane) -> Self {
        Self { lane, flying: false, first_at: None, scope: 0, lost: false, refused: None, again_at: None }
    }
}

impl Message {
    pub(crate) fn id(&self) -> Option<u64> {
        self.request.map(|(id, _)| id)
    }

    pub(crate) fn is_flying(&self) -> bool {
        self.attempts.as_ref().is_some_and(|attempts| attempts.flying)
    }

    /// Whether it was never written.
    pub(crate) fn is_new(&self) -> bool {
        self.attempts.as_ref().is_none_or(|attempts| attempts.first_at.is_none())
    }

    /// Why it has failed, when nothing is known but that it is given up by `reason`.
    pub(crate) fn given_up(&self, reason: Failure) -> Failure {
        match &self.attempts {
            Some(attempts) if attempts.lost || attempts.flying => Failure::unknown(),
            Some(Attempts { refused: Some(refused), .. }) => refused.clone(),
            _ => reason,
        }
    }
}

/// Makes keys that no other client of the same user makes within the time that the server remembers them.
#[derive(Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(seed: u64) -> Self {
        // Another sequence than the jitter's.
        let mut prefix = json(&Rng::new(!seed).next_u64());
        prefix.push('-');
        Self { prefix }
    }

    /// The key of an event; `id` is unique to this client.
    pub(crate) fn key(&self, publish: &Publish, id: u64) -> String {
        match &publish.idempotency_key {
            Some(key) => key.clone(),
            None => {
                let mut key = self.prefix.clone();
                key.push_str(&json(&id));
                key
            }
        }
    }
}

impl Publish {
    /// The payload of a `publish` (§3).
    pub(crate) fn payload(&self, key: Option<&str>) -> String {
        let mut text = "{\"room\":".to_owned();
        text.push_str(&json(&self.room));
        text.push_str(",\"type\":");
        text.push_str(&json(&self.kind));
        if let Some(data) = &self.data {
            text.push_str(",\"data\":");
            text.push_str(data);
        }
        if let Some(key) = key {
            text.push_str(",\"idempotencyKey\":");
            text.push_str(&json(key));
        }
        if self.ephemeral {
            text.push_str(",\"ephemeral\":true");
        }
        text.push('}');
        text
    }
}

/// A payload of a `publish`, a JSON object with fields, that says which event it must not pass (§5).
pub(crate) fn behind(payload: &str, after: &str) -> String {
    let mut text = payload.trim_end().to_owned();
    text.pop();
    text.push_str(",\"after\":");
    text.push_str(&json(after));
    text.push('}');
    text
}
