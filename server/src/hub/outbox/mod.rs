//! The bounded queue between the rooms and one socket: filled by publishers, emptied by the connection's task (§5, §7).
//!
//! The writer takes many messages at once, so that they share a frame (batching) or a system call. When the reader falls
//! behind, an older queued event of the same room, type and key gives way to a newer one; the next event of that room then
//! says how many were skipped. A queue over its bound with nothing left to conflate closes the connection.
//!
//! Here are its lock and its waker; the queue is in `queue`, its entries are in `item` and `run`.

mod item;
mod look;
mod queue;
mod run;

pub use item::{Item, QueuedEvent};
pub use look::QueueLook;
pub use run::Run;

use osbackend_protocol::CloseCode;
use parking_lot::Mutex;
use queue::{Queue, Slot};
use std::task::{Context, Poll, Waker};
use tungstenite::Utf8Bytes;

#[derive(Default)]
struct Inner {
    queue: Queue,
    waker: Option<Waker>,
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
}

impl Outbox {
    /// An empty queue; `limit` bytes at most, 0 for no limit.
    pub fn new(limit: usize) -> Self {
        Self { inner: Mutex::default(), limit: if limit == 0 { usize::MAX } else { limit } }
    }

    /// Queues a message for this connection.
    pub fn push(&self, item: Item) {
        let waker = {
            let Inner { queue, waker } = &mut *self.inner.lock();
            if queue.is_ending() {
                return;
            }
            let was_empty = queue.slots.is_empty();
            queue.push(item, self.limit);
            if was_empty || queue.close.is_some() { waker.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Queues many; they are taken as one.
    pub fn push_all(&self, items: impl Iterator<Item = Item>) {
        items.for_each(|item| self.push(item));
    }

    /// Keeps a place for a message that must come before what is queued from now on; one place at a time.
    pub fn reserve(&self) -> Reserved {
        self.inner.lock().queue.slots.push_back(Slot::Reserved);
        Reserved(())
    }

    /// Puts a message in its reserved place.
    pub fn fill(&self, _place: Reserved, text: Utf8Bytes) {
        let waker = {
            let Inner { queue, waker } = &mut *self.inner.lock();
            if queue.fill(Item::Text(text)) { waker.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// A membership in `room` ends or begins anew: what is queued of it is delivered as it is.
    pub fn seal(&self, room: u64) {
        self.inner.lock().queue.seal(room);
    }

    /// Ends the connection with `code` once what is queued is written; the first call decides.
    pub fn close(&self, code: CloseCode) {
        let waker = {
            let Inner { queue, waker } = &mut *self.inner.lock();
            if queue.is_ending() {
                return;
            }
            queue.close = Some(code);
            waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nothing will be taken any more: the socket is gone.
    pub fn abandon(&self) {
        let mut inner = self.inner.lock();
        inner.queue.abandon();
        inner.waker = None;
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
        self.inner.lock().queue.take()
    }

    /// Queued bytes now.
    pub fn bytes(&self) -> usize {
        self.inner.lock().queue.bytes
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
    fn wake_later(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }
}

#[cfg(test)]
mod tests;
