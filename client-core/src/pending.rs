//! Messages of the application: those that wait for the connection, and requests that wait for their answer.

use crate::publish::{Attempts, MOST_FLYING, WINDOW_MS};
use osbackend_protocol::Limits;
use serde::Serialize;
use std::{borrow::Cow, collections::VecDeque, sync::Arc};

/// Why a request, a send or a join failed. `code` is an error code of §6, `timeout`, or `outcome_unknown`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// For programs.
    pub code: Cow<'static, str>,
    /// For people: what happened and what to do.
    pub message: Cow<'static, str>,
    /// When to try again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    pub(crate) fn local(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.into(), message: message.into(), retry_after_ms: None }
    }

    pub(crate) fn timeout() -> Self {
        Self::local("timeout", "no answer in time; the server may still have carried it out")
    }

    pub(crate) fn unknown() -> Self {
        Self::local("outcome_unknown", "the answer never came: the event was stored once, or not at all")
    }

    pub(crate) fn lost() -> Self {
        Self::local(
            "unavailable",
            "the connection was lost before the answer came; the request may or may not have been carried out",
        )
    }

    pub(crate) fn overflow() -> Self {
        Self::local("limit_reached", "too many messages wait for the connection: the oldest was given up")
    }

    pub(crate) fn closed() -> Self {
        Self::local("unavailable", "the connection is closed: call connect() first")
    }

    pub(crate) fn too_large() -> Self {
        Self::local("too_large", "the message is over the server's size limit: send less at once")
    }

    /// Whether another token may lift it.
    pub(crate) fn is_permission(&self) -> bool {
        matches!(&*self.code, "forbidden" | "unauthorized" | "token_expired")
    }

    /// Whether the same may well work in a moment.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(&*self.code, "rate_limited" | "unavailable" | "internal")
    }
}

impl From<crate::control::ErrorBody> for Failure {
    fn from(error: crate::control::ErrorBody) -> Self {
        Self { code: error.code.into(), message: error.message.into(), retry_after_ms: error.retry_after_ms }
    }
}

/// To whom an answer belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// To a request of the application, which is over now: hand the answer's data on.
    Request,
    /// To the machine itself, or to a request that had timed out: nobody waits for it.
    Nobody,
}

/// A message of the application that isn't written yet, or a publish that isn't answered yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// The id, and when to give up; `None` for a send, which nobody waits for.
    pub(crate) request: Option<(u64, u64)>,
    pub(crate) kind: String,
    pub(crate) payload: Option<String>,
    /// Of a publish that may be written again: what became of it so far.
    pub(crate) attempts: Option<Attempts>,
}

/// The rate that the server allows, in thousandths of a message, with some room left for joins and heartbeats.
#[derive(Debug)]
struct Bucket {
    rate: u64,
    capacity: u64,
    level: u64,
    at: u64,
}

const MESSAGE: u64 = 1_000;

impl Bucket {
    fn new(limits: Limits, now: u64) -> Option<Self> {
        // 80 % of what is allowed.
        let rate = u64::from(limits.message_rate) * MESSAGE * 4 / 5;
        let capacity = (u64::from(limits.message_burst) * MESSAGE * 4 / 5).max(MESSAGE);
        (rate > 0).then_some(Self { rate, capacity, level: capacity, at: now })
    }

    fn take(&mut self, now: u64) -> Result<(), u64> {
        let elapsed = now.saturating_sub(self.at);
        self.level = self.level.saturating_add(elapsed.saturating_mul(self.rate) / 1_000).min(self.capacity);
        self.at = now;
        if self.level >= MESSAGE {
            self.level -= MESSAGE;
            Ok(())
        } else {
            Err(now + ((MESSAGE - self.level) * 1_000).div_ceil(self.rate).max(1))
        }
    }
}

/// The queue and the requests in flight.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    queue: VecDeque<Message>,
    /// The ids that were written, ascending, and when each gives up. A vector: a map is 3 KB more in the browser.
    in_flight: Vec<(u64, u64)>,
    /// Publishes that were written, in the order of their ids: without an answer they are written again.
    flying: Vec<Message>,
    /// Publishes wait until then, because the server refused one for now.
    paused_until: u64,
    /// Whose idempotency keys those of this session are.
    scope: Option<Arc<str>>,
    bucket: Option<Bucket>,
}

impl Pending {
    /// Adds to the queue; gives back those that have to be refused because of it. Publishes that were written before are not
    /// counted: there are [`MOST_FLYING`] at most.
    pub(crate) fn push(&mut self, message: Message, limit: usize) -> Vec<Message> {
        self.queue.push_back(message);
        let fresh = |message: &Message| message.attempts.as_ref().is_none_or(|attempts| attempts.first_at.is_none());
        let mut over = self.queue.iter().filter(|message| fresh(message)).count().saturating_sub(limit);
        self.take(|message| {
            let refused = over > 0 && fresh(message);
            over -= usize::from(refused);
            refused
        })
    }

    /// Takes out of the queue.
    fn take(&mut self, mut which: impl FnMut(&Message) -> bool) -> Vec<Message> {
        let mut taken = Vec::new();
        for _ in 0..self.queue.len() {
            if let Some(message) = self.queue.pop_front() {
                if which(&message) {
                    taken.push(message);
                } else {
                    self.queue.push_back(message);
                }
            }
        }
        taken
    }

    /// A connection is live: it allows this much, and the keys of what is published on it are `scope`'s. The client was away
    /// for `away_ms`, as far as the server knows. Gives back the publishes that can't be written again: their first attempt
    /// may have been stored where the key would not be found.
    pub(crate) fn connected(&mut self, limits: Limits, now: u64, scope: Arc<str>, away_ms: u64) -> Vec<Message> {
        self.bucket = Bucket::new(limits, now);
        self.scope = Some(scope.clone());
        self.take(|message| {
            let attempts = message.attempts.as_ref();
            attempts.is_some_and(|attempts| attempts.lost && (away_ms >= WINDOW_MS || attempts.scope.as_ref() != Some(&scope)))
        })
    }

    /// From here on the session is another's: of the user that it authenticated.
    pub(crate) fn authenticated(&mut self, scope: Arc<str>) {
        self.scope = Some(scope);
    }

    /// The next message that may be written now, or when there may be one.
    pub(crate) fn next(&mut self, now: u64) -> Result<Message, Option<u64>> {
        let paused = self.paused_until > now;
        let held = paused || self.flying.len() >= MOST_FLYING;
        let Some(at) = self.queue.iter().position(|message| !held || message.attempts.is_none()) else {
            return Err(Some(self.paused_until).filter(|_| paused && !self.queue.is_empty()));
        };
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now).map_err(Some)?;
        }
        self.queue.remove(at).ok_or(None)
    }

    /// A message was written.
    pub(crate) fn written(&mut self, mut message: Message, now: u64) {
        let Some((id, deadline)) = message.request else { return };
        let Some(attempts) = &mut message.attempts else {
            let at = self.in_flight.partition_point(|(other, _)| *other < id);
            return self.in_flight.insert(at, (id, deadline));
        };
        if attempts.first_at.is_none() {
            attempts.first_at = Some(now);
            message.request = Some((id, deadline.min(now.saturating_add(WINDOW_MS))));
        }
        attempts.scope.clone_from(&self.scope);
        let at = self.flying.partition_point(|other| other.id() < Some(id));
        self.flying.insert(at, message);
    }

    /// An answer came. True when a request waited for it.
    pub(crate) fn settle(&mut self, id: u64) -> bool {
        let found = self.in_flight.binary_search_by_key(&id, |(other, _)| *other);
        found.map(|at| self.in_flight.remove(at)).is_ok() || self.land(id).is_some()
    }

    fn land(&mut self, id: u64) -> Option<Message> {
        let at = self.flying.binary_search_by_key(&Some(id), Message::id).ok()?;
        Some(self.flying.remove(at))
    }

    /// Whether it is a publish that was written and may be written again.
    pub(crate) fn is_flying(&self, id: u64) -> bool {
        self.flying.binary_search_by_key(&Some(id), Message::id).is_ok()
    }

    /// A publish was refused for now: it is written again at `at`, and those that were not written yet stay behind it.
    /// False where there is no such publish, or no time for that.
    pub(crate) fn again(&mut self, id: u64, at: u64, failure: &Failure) -> bool {
        let in_time = |message: &Message| message.request.is_some_and(|(_, deadline)| at < deadline);
        if !self.flying.iter().any(|message| message.id() == Some(id) && in_time(message)) {
            return false;
        }
        let Some(mut message) = self.land(id) else { return false };
        if let Some(attempts) = &mut message.attempts {
            attempts.refused = Some(failure.clone());
            // Of anything else the server does not say that it was not carried out.
            attempts.lost |= failure.code == "internal";
        }
        self.paused_until = self.paused_until.max(at);
        self.requeue(message);
        true
    }

    /// Back into the queue, among the publishes by their ids, which ascend in the order of the calls.
    fn requeue(&mut self, message: Message) {
        let before = |other: &Message| other.attempts.is_some() && other.id() < message.id();
        let at = self.queue.iter().rposition(before).map_or(0, |at| at + 1);
        self.queue.insert(at, message);
    }

    /// The connection is gone: the requests that were in flight. Publishes go back into the queue.
    pub(crate) fn disconnected(&mut self) -> Vec<u64> {
        self.bucket = None;
        self.paused_until = 0;
        for mut message in std::mem::take(&mut self.flying) {
            if let Some(attempts) = &mut message.attempts {
                attempts.lost = true;
            }
            self.requeue(message);
        }
        std::mem::take(&mut self.in_flight).into_iter().map(|(id, _)| id).collect()
    }

    /// Everything that waits, given up.
    pub(crate) fn give_up(&mut self) -> Vec<Message> {
        self.queue.drain(..).collect()
    }

    /// Requests that timed out at `now`, written or not.
    pub(crate) fn expired(&mut self, now: u64) -> Vec<(u64, Failure)> {
        let mut over: Vec<(u64, Failure)> = Vec::new();
        for (id, _) in self.in_flight.iter().filter(|(_, at)| *at <= now) {
            over.push((*id, Failure::timeout()));
        }
        self.in_flight.retain(|(_, at)| *at > now);
        let due = |message: &Message| message.request.is_some_and(|(_, at)| at <= now);
        self.flying.retain(|message| {
            if due(message) {
                over.extend(message.id().map(|id| (id, Failure::unknown())));
            }
            !due(message)
        });
        for message in self.take(due) {
            over.extend(message.id().map(|id| (id, message.given_up(Failure::timeout()))));
        }
        over
    }

    /// When the next request times out.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let messages = self.queue.iter().chain(&self.flying).filter_map(|message| message.request);
        messages.chain(self.in_flight.iter().copied()).map(|(_, at)| at).min()
    }

    /// Whether messages wait.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }
}
