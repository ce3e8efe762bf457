//! The bounded queue between the rooms and one socket: filled by publishers, emptied by the connection's task (§5, §7).
//!
//! The writer takes many messages at once, so that they share a frame (batching) or a system call. When the reader falls
//! behind, an older queued event of the same room, type and key gives way to a newer one; the next event of that room then
//! says how many were skipped. A queue over its bound with nothing left to conflate closes the connection.
//!
//! Three things are counted apart, each with a bound. Live events are closed for. Answers and messages of the system are closed
//! for too, but one may always wait, and requests with large answers wait for room. Replays are shared with the history, and
//! the next one is refused.
//!
//! Here are its lock and its wakers; the queue is in `queue`, its entries are in `item`, `run` and `replay`.

mod item;
mod look;
mod queue;
mod replay;
mod run;

pub use item::{Item, QueuedEvent};
pub use look::QueueLook;
pub use replay::ReplayMark;
pub use run::Run;

use crate::hub::event::StoredEvent;
use osbackend_protocol::CloseCode;
use parking_lot::Mutex;
use queue::{Queue, Slot};
use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tungstenite::Utf8Bytes;

#[derive(Default)]
struct Inner {
    queue: Queue,
    waker: Option<Waker>,
    /// Tasks whose answers wait for room.
    answering: Vec<Waker>,
}

/// The queue of one connection.
pub struct Outbox {
    inner: Mutex<Inner>,
    limit: usize,
}

/// What the writer takes.
#[derive(Debug, Default)]
pub struct Taken {
    /// In order.
    pub items: Vec<Item>,
    /// The connection ends after the items.
    pub close: Option<CloseCode>,
    /// The end is decided, though more than these items may be left to be written.
    pub ending: bool,
}

impl Outbox {
    /// An empty queue; `limit` bytes at most, 0 for no limit.
    pub fn new(limit: usize) -> Self {
        Self { inner: Mutex::default(), limit: if limit == 0 { usize::MAX } else { limit } }
    }

    /// Queues a message for this connection.
    pub fn push(&self, item: Item) {
        let waker = self.inner.lock().push(item, self.limit);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Queues an answer that may be large, once there is room for one: `answer` is taken then. A connection that ends takes it
    /// at once, for nothing.
    pub fn poll_answer(&self, answer: &mut Option<Item>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = {
            let mut inner = self.inner.lock();
            if inner.queue.is_holding(self.limit) && !inner.queue.is_ending() {
                if !inner.answering.iter().any(|waker| waker.will_wake(cx.waker())) {
                    inner.answering.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
            answer.take().and_then(|answer| inner.push(answer, self.limit))
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Poll::Ready(())
    }

    /// Whether so many answers wait that a request with a large one has to wait until the reader has taken some.
    pub fn is_holding(&self) -> bool {
        let inner = self.inner.lock();
        inner.queue.is_holding(self.limit) && !inner.queue.is_ending()
    }

    /// Queues what a join missed, or a snapshot, as one entry. The mark tells whether it still waits whole.
    pub fn replay(&self, events: Vec<Arc<StoredEvent>>, snapshot: bool) -> ReplayMark {
        let (mark, waker) = {
            let Inner { queue, waker, .. } = &mut *self.inner.lock();
            if events.is_empty() || queue.is_ending() {
                return ReplayMark::default();
            }
            let was_empty = queue.slots.is_empty();
            (queue.replay(events, snapshot), if was_empty { waker.take() } else { None })
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        mark
    }

    /// Whether so much of replays and snapshots waits that a join must not bring about another one. One more than the bound may
    /// wait, however large: a recovery that is larger than the bound would never end.
    pub fn replays_are_full(&self) -> bool {
        self.inner.lock().queue.replays_are_full(self.limit)
    }

    /// Keeps a place for a message that must come before what is queued from now on; one place at a time. On a connection that
    /// ends there is none, as nothing is queued.
    pub fn reserve(&self) -> Reserved {
        let queue = &mut self.inner.lock().queue;
        if !queue.is_ending() {
            queue.slots.push_back(Slot::Reserved);
        }
        Reserved(())
    }

    /// Puts a message in its reserved place; it is bounded as a pushed one is.
    pub fn fill(&self, _place: Reserved, text: Utf8Bytes) {
        let waker = {
            let Inner { queue, waker, .. } = &mut *self.inner.lock();
            if queue.fill(Item::Text(text), self.limit) { waker.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// A membership in `room` ends or begins anew: what is queued of it is delivered as it is.
    pub fn seal(&self, room: u64) {
        self.inner.lock().queue.seal(room);
    }

    /// Ends the connection with `code`; the first call decides. Queued events are dropped, unless the end is a graceful one
    /// (1012): what answers requests is still written.
    pub fn close(&self, code: CloseCode) {
        let (dropped, waker) = {
            let Inner { queue, waker, .. } = &mut *self.inner.lock();
            if queue.is_ending() {
                return;
            }
            (queue.end(code), waker.take())
        };
        drop(dropped);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nothing will be taken any more: the socket is gone.
    pub fn abandon(&self) {
        let (dropped, answering) = {
            let mut inner = self.inner.lock();
            inner.waker = None;
            (inner.queue.abandon(), std::mem::take(&mut inner.answering))
        };
        drop(dropped);
        answering.into_iter().for_each(Waker::wake);
    }

    /// Ready when there is something to take.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner.lock();
        if inner.queue.has_work() {
            return Poll::Ready(());
        }
        inner.wake_later(cx);
        Poll::Pending
    }

    /// Whether the connection is to end although its writer may be stuck: the queue went over its bound, or it was closed.
    pub fn poll_ending(&self, cx: &mut Context<'_>) -> Poll<CloseCode> {
        let mut inner = self.inner.lock();
        match inner.queue.close {
            Some(code) => Poll::Ready(code),
            None => {
                inner.wake_later(cx);
                Poll::Pending
            }
        }
    }

    /// Takes what is queued: all of a short queue in one swap, the first part of a long one.
    pub fn take(&self) -> Taken {
        let (taken, dropped, answering) = {
            let mut inner = self.inner.lock();
            let (taken, dropped) = inner.queue.take();
            let room = !inner.answering.is_empty() && !inner.queue.is_holding(self.limit);
            (taken, dropped, if room { std::mem::take(&mut inner.answering) } else { Vec::new() })
        };
        drop(dropped);
        answering.into_iter().for_each(Waker::wake);
        taken
    }

    /// Queued bytes of events and answers now; replays are not in it.
    pub fn bytes(&self) -> usize {
        let queue = &self.inner.lock().queue;
        queue.events + queue.answers
    }

    /// Events that gave way to newer ones so far.
    pub fn conflated(&self) -> u64 {
        self.inner.lock().queue.conflated
    }

    /// The code with which the connection ends, once that is decided.
    pub fn ending(&self) -> Option<CloseCode> {
        self.inner.lock().queue.close
    }
}

/// A place kept by [`Outbox::reserve`].
#[derive(Debug)]
pub struct Reserved(());

impl Inner {
    /// Queues a message; the waker is to be woken once the lock is free.
    fn push(&mut self, item: Item, limit: usize) -> Option<Waker> {
        if self.queue.is_ending() {
            return None;
        }
        let was_empty = self.queue.slots.is_empty();
        self.queue.push(item, limit);
        if was_empty || self.queue.close.is_some() { self.waker.take() } else { None }
    }

    fn wake_later(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }
}

#[cfg(test)]
mod tests;
