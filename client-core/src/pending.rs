//! Messages of the application: those that wait for the connection, and requests that wait for their answer.

use osbackend_protocol::Limits;
use serde::Serialize;
use std::{borrow::Cow, collections::VecDeque};

/// Why a request, a send or a join failed. `code` is an error code of §6, or `timeout`.
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

/// A message of the application that isn't written yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// The id, and when to give up; `None` for a send, which nobody waits for.
    pub(crate) request: Option<(u64, u64)>,
    pub(crate) kind: String,
    pub(crate) payload: Option<String>,
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
    bucket: Option<Bucket>,
}

impl Pending {
    /// Adds to the queue; gives back those that have to be refused because of it.
    pub(crate) fn push(&mut self, message: Message, limit: usize) -> Vec<Message> {
        self.queue.push_back(message);
        let over = self.queue.len().saturating_sub(limit);
        self.queue.drain(..over).collect()
    }

    /// A connection is live: it allows this much.
    pub(crate) fn connected(&mut self, limits: Limits, now: u64) {
        self.bucket = Bucket::new(limits, now);
    }

    /// The next message that may be written now, or when there may be one.
    pub(crate) fn next(&mut self, now: u64) -> Result<Message, Option<u64>> {
        if self.queue.is_empty() {
            return Err(None);
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now).map_err(Some)?;
        }
        self.queue.pop_front().ok_or(None)
    }

    /// A request was written.
    pub(crate) fn written(&mut self, id: u64, deadline: u64) {
        let at = self.in_flight.partition_point(|(other, _)| *other < id);
        self.in_flight.insert(at, (id, deadline));
    }

    /// An answer came. True when a request waited for it.
    pub(crate) fn settle(&mut self, id: u64) -> bool {
        let found = self.in_flight.binary_search_by_key(&id, |(other, _)| *other);
        found.map(|at| self.in_flight.remove(at)).is_ok()
    }

    /// The connection is gone: the requests that were in flight.
    pub(crate) fn disconnected(&mut self) -> Vec<u64> {
        self.bucket = None;
        std::mem::take(&mut self.in_flight).into_iter().map(|(id, _)| id).collect()
    }

    /// Everything that waits, given up.
    pub(crate) fn give_up(&mut self) -> Vec<Message> {
        self.queue.drain(..).collect()
    }

    /// Requests that timed out at `now`, written or not.
    pub(crate) fn expired(&mut self, now: u64) -> Vec<u64> {
        let mut over: Vec<u64> = self.in_flight.iter().filter(|(_, at)| *at <= now).map(|(id, _)| *id).collect();
        self.in_flight.retain(|(_, at)| *at > now);
        self.queue.retain(|message| match message.request {
            Some((id, at)) if at <= now => {
                over.push(id);
                false
            }
            _ => true,
        });
        over
    }

    /// When the next request times out.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let queued = self.queue.iter().filter_map(|message| message.request.map(|(_, at)| at));
        queued.chain(self.in_flight.iter().map(|(_, at)| *at)).min()
    }

    /// Whether messages wait.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }
}
