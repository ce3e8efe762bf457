//! Messages of the application: those that wait for the connection, and requests that wait for their answer.

use crate::{
    publish::{Attempts, Lane, MOST_FLYING, WINDOW_MS},
    rates::Rates,
};
use serde::Serialize;
use std::borrow::Cow;

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
        Self::local("outcome_unknown", "no answer: the event was stored once, or not at all")
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

    pub(crate) fn of_another_user() -> Self {
        Self::local("unavailable", "it was asked in the name of the user before: another user is connected now")
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

/// The queue and the requests in flight.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// In the order of the calls. Publishes stay until they are answered: without an answer they are written again, from
    /// their own place.
    messages: Vec<Message>,
    /// The ids of other requests that were written, ascending, and when each gives up. A vector: a map is 3 KB more in the
    /// browser.
    in_flight: Vec<(u64, u64)>,
    /// How many of the messages are written publishes.
    flying: usize,
    /// Whose idempotency keys those of this session are.
    scope: u64,
}

impl Pending {
    /// Adds to the queue; gives back those that have to be refused because of it. Publishes that were written before are not
    /// counted: there are [`MOST_FLYING`] at most.
    pub(crate) fn push(&mut self, message: Message, limit: usize) -> Vec<Message> {
        self.messages.push(message);
        let mut over = self.messages.iter().filter(|message| message.is_new()).count().saturating_sub(limit);
        self.take(&mut |message| {
            let refused = over > 0 && message.is_new();
            over -= usize::from(refused);
            refused
        })
    }

    /// Takes out messages. One function for all, called by reference: each copy would be another KB in the browser.
    fn take(&mut self, which: &mut dyn FnMut(&Message) -> bool) -> Vec<Message> {
        let (mut taken, mut at) = (Vec::new(), 0);
        while let Some(message) = self.messages.get(at) {
            if which(message) {
                taken.push(self.remove(at));
            } else {
                at += 1;
            }
        }
        taken
    }

    fn remove(&mut self, at: usize) -> Message {
        let message = self.messages.remove(at);
        self.flying -= usize::from(message.is_flying());
        message
    }

    fn flying(&self, id: u64) -> Option<usize> {
        self.messages.iter().position(|message| message.is_flying() && message.id() == Some(id))
    }

    /// A connection is live: the keys of what is published on it are `scope`'s. The client was away for `away_ms`, as far as the
    /// server knows. Gives back the publishes that can't be written again: their first attempt
    /// may have been stored where the key would not be found.
    pub(crate) fn connected(&mut self, scope: u64, away_ms: u64) -> Vec<Message> {
        self.scope = scope;
        self.take(&mut |message| {
            let attempts = message.attempts.as_ref();
            attempts.is_some_and(|attempts| attempts.lost && (away_ms >= WINDOW_MS || attempts.scope != scope))
        })
    }

    /// From here on the session is another's: of the user that it authenticated.
    pub(crate) fn authenticated(&mut self, scope: u64) {
        self.scope = scope;
    }

    /// The next message that may be written now, or when there may be one. It is to be given to [`Self::written`], or is over.
    ///
    /// What was refused for now comes again as the first of its room, once everything before it is answered, and nothing else of
    /// the room is written until it is answered, too.
    pub(crate) fn next(&mut self, now: u64, rates: &mut Rates) -> Result<Message, Option<u64>> {
        let full = self.flying >= MOST_FLYING;
        let (mut held, mut wake, mut next) = (Vec::<&str>::new(), None::<u64>, None);
        for (at, message) in self.messages.iter().enumerate() {
            let Some(Attempts { lane, flying, again_at, .. }) = &message.attempts else {
                next = Some(at);
                break;
            };
            let room = lane.room.as_str();
            if *flying {
                if again_at.is_some() {
                    held.push(room);
                }
            } else if !held.contains(&room) {
                let early = again_at.filter(|again_at| *again_at > now);
                wake = early.map(|at| wake.map_or(at, |wake| wake.min(at))).or(wake);
                if !full && early.is_none() && (again_at.is_none() || self.last_flying(at, room).is_none()) {
                    next = Some(at);
                    break;
                }
                held.push(room);
            }
        }
        let at = next.ok_or(wake)?;
        rates.message(now).map_err(Some)?;
        Ok(self.remove(at))
    }

    /// The last publish into a room that is written and not answered, of those before a place.
    fn last_flying(&self, at: usize, room: &str) -> Option<&Lane> {
        let before = self.messages[..at].iter().rev().filter_map(|message| message.attempts.as_ref());
        before.filter(|attempts| attempts.flying).map(|attempts| &attempts.lane).find(|lane| lane.room == room)
    }

    /// The key of the unanswered publish that this message, which [`Self::next`] gave, must not pass.
    pub(crate) fn before(&self, message: &Message) -> Option<&str> {
        let room = &message.attempts.as_ref()?.lane.room;
        self.last_flying(self.place(message.id()?), room).map(|lane| lane.key.as_str())
    }

    /// Where the message with this id belongs: ids ascend in the order of the calls.
    fn place(&self, id: u64) -> usize {
        self.messages.iter().position(|other| other.id() > Some(id)).unwrap_or(self.messages.len())
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
        attempts.scope = self.scope;
        attempts.flying = true;
        self.flying += 1;
        let at = self.place(id);
        self.messages.insert(at, message);
    }

    /// An answer came. True when a request waited for it.
    pub(crate) fn settle(&mut self, id: u64) -> bool {
        if let Ok(at) = self.in_flight.binary_search_by_key(&id, |(other, _)| *other) {
            self.in_flight.remove(at);
            return true;
        }
        self.flying(id).map(|at| self.remove(at)).is_some()
    }

    /// A publish was refused for now: it is written again at `at`, and those of its room stay behind it.
    /// False where there is no such publish, or no time for that.
    pub(crate) fn again(&mut self, id: u64, at: u64, failure: &Failure) -> bool {
        let Some(place) = self.flying(id) else { return false };
        let message = &mut self.messages[place];
        let (Some((_, deadline)), Some(attempts)) = (message.request, &mut message.attempts) else { return false };
        if at >= deadline {
            return false;
        }
        attempts.flying = false;
        attempts.again_at = Some(at);
        attempts.refused = Some(failure.clone());
        // Of anything else the server does not say that it was not carried out.
        attempts.lost |= failure.code == "internal";
        self.flying -= 1;
        true
    }

    /// The connection is gone: the requests that were in flight. Publishes wait again.
    pub(crate) fn disconnected(&mut self) -> Vec<u64> {
        self.flying = 0;
        for attempts in self.messages.iter_mut().filter_map(|message| message.attempts.as_mut()) {
            attempts.lost |= attempts.flying;
            attempts.flying = false;
            attempts.again_at = None;
        }
        std::mem::take(&mut self.in_flight).into_iter().map(|(id, _)| id).collect()
    }

    /// Everything that waits, given up.
    pub(crate) fn give_up(&mut self) -> Vec<Message> {
        self.take(&mut |_| true)
    }

    /// Requests that timed out at `now`: those in flight, and messages.
    pub(crate) fn expired(&mut self, now: u64) -> (Vec<u64>, Vec<Message>) {
        let over = self.in_flight.iter().filter(|(_, at)| *at <= now).map(|(id, _)| *id).collect();
        self.in_flight.retain(|(_, at)| *at > now);
        (over, self.take(&mut |message| message.request.is_some_and(|(_, at)| at <= now)))
    }

    /// When the next request times out.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let messages = self.messages.iter().filter_map(|message| message.request);
        messages.chain(self.in_flight.iter().copied()).map(|(_, at)| at).min()
    }

    /// Whether messages wait.
    pub(crate) fn is_waiting(&self) -> bool {
        self.messages.len() > self.flying
    }
}
