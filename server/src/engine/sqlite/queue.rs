//! Publishes that wait for the writer: bounded, taken in bulk. What was queued while one commit ran is the next one.
//!
//! What was pushed together is never taken apart: it is committed in one transaction, so that a crash leaves all of it or none.
//! An emission into two rooms that is tried again with its idempotency key depends on that.

use crate::engine::{EngineError, Pending};
use parking_lot::{Condvar, Mutex};
use std::{collections::VecDeque, time::Duration};

/// Events that may wait.
const MAX_EVENTS: usize = 65_536;
/// Bytes of data that may wait.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// From so many events on a transaction takes no more: the first waits for the last.
const BATCH_EVENTS: usize = 1024;
/// Bytes of data of one transaction, about.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// See the module.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// As they were pushed.
    waiting: VecDeque<Vec<Pending>>,
    events: usize,
    bytes: usize,
    /// Nothing more is taken.
    stopped: bool,
}

/// What the writer does next.
pub(super) enum Next {
    /// Commit these, in order.
    Batch(Vec<Pending>),
    /// Nothing came for a while.
    Idle,
    /// Nothing is left, and nothing comes.
    Stop,
}

fn size(pending: &Pending) -> usize {
    pending.event.data.get().len() + 256
}

impl Queue {
    /// Queues all of `pending` or, one by one, tells why not.
    pub(super) fn push(&self, pending: Vec<Pending>) {
        if pending.is_empty() {
            return;
        }
        let refused = {
            let mut inner = self.inner.lock();
            if inner.stopped {
                (pending, "the server is stopping")
            } else if inner.events + pending.len() > MAX_EVENTS || inner.bytes > MAX_BYTES {
                (pending, "more is published than can be stored")
            } else {
                let was_empty = inner.waiting.is_empty();
                inner.bytes += pending.iter().map(size).sum::<usize>();
                inner.events += pending.len();
                inner.waiting.push_back(pending);
                drop(inner);
                if was_empty {
                    self.changed.notify_one();
                }
                return;
            }
        };
        let (pending, why) = refused;
        pending.into_iter().for_each(|pending| pending.refuse(EngineError::unavailable(why)));
    }

    /// Waits for work, `patience` at most.
    pub(super) fn next(&self, patience: Duration) -> Next {
        let mut inner = self.inner.lock();
        if inner.waiting.is_empty() && !inner.stopped {
            self.changed.wait_for(&mut inner, patience);
        }
        if inner.waiting.is_empty() {
            return if inner.stopped { Next::Stop } else { Next::Idle };
        }
        // Most often it is all that waits, and often one push: its list is taken as it is.
        let mut batch = inner.waiting.pop_front().unwrap_or_default();
        let mut bytes = batch.iter().map(size).sum::<usize>();
        while batch.len() < BATCH_EVENTS
            && bytes < BATCH_BYTES
            && let Some(pending) = inner.waiting.pop_front()
        {
            bytes += pending.iter().map(size).sum::<usize>();
            batch.extend(pending);
        }
        inner.events -= batch.len();
        inner.bytes -= bytes;
        Next::Batch(batch)
    }

    /// Takes nothing more; what is queued is still served.
    pub(super) fn stop(&self) {
        self.inner.lock().stopped = true;
        self.changed.notify_all();
    }

    /// The writer is gone: tells who still waits.
    pub(super) fn abandon(&self) {
        let waiting = {
            let mut inner = self.inner.lock();
            inner.stopped = true;
            inner.bytes = 0;
            inner.events = 0;
            std::mem::take(&mut inner.waiting)
        };
        waiting.into_iter().flatten().for_each(|pending| pending.refuse(EngineError::unavailable("the event store has stopped")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{event, room};

    fn push(queue: &Queue, events: u64) {
        let pending = |n| Pending { room: room("agent:7"), event: event(n), now_ms: 0, place: None, done: Box::new(|_| {}) };
        queue.push((0..events).map(pending).collect());
    }

    fn taken(queue: &Queue) -> usize {
        match queue.next(Duration::ZERO) {
            Next::Batch(batch) => batch.len(),
            Next::Idle | Next::Stop => 0,
        }
    }

    #[test]
    fn what_was_pushed_together_is_committed_together() {
        let queue = Queue::default();
        push(&queue, 1000);
        push(&queue, 500);
        push(&queue, 3000);
        push(&queue, 1);
        assert_eq!([taken(&queue), taken(&queue), taken(&queue), taken(&queue)], [1500, 3000, 1, 0]);
        let left = queue.inner.lock();
        assert_eq!((left.events, left.bytes), (0, 0));
    }

    #[test]
    fn the_bound_counts_events_not_pushes() {
        let queue = Queue::default();
        for _ in 0..64 {
            push(&queue, 1024);
        }
        let (tell, told) = std::sync::mpsc::channel();
        let done = Box::new(move |result: Result<_, EngineError>| tell.send(result.map(|_| ())).unwrap());
        queue.push(vec![Pending { room: room("agent:7"), event: event(0), now_ms: 0, place: None, done }]);
        assert!(told.recv().unwrap().unwrap_err().to_string().contains("more is published than can be stored"));
        while taken(&queue) > 0 {}
        assert_eq!(queue.inner.lock().events, 0);
    }
}
