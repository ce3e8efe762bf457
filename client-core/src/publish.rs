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

/// What became of a publish so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attempts {
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

    /// The payload of a `publish` (§3); `id` is unique to this client.
    pub(crate) fn payload(&self, publish: &Publish, id: u64) -> String {
        let mut text = "{\"room\":".to_owned();
        text.push_str(&json(&publish.room));
        text.push_str(",\"type\":");
        text.push_str(&json(&publish.kind));
        if let Some(data) = &publish.data {
            text.push_str(",\"data\":");
            text.push_str(data);
        }
        if let Some(key) = &publish.idempotency_key {
            text.push_str(",\"idempotencyKey\":");
            text.push_str(&json(key));
        } else if !publish.ephemeral {
            text.push_str(",\"idempotencyKey\":\"");
            text.push_str(&self.prefix);
            text.push_str(&json(&id));
            text.push('"');
        }
        if publish.ephemeral {
            text.push_str(",\"ephemeral\":true");
        }
        text.push('}');
        text
    }
}
