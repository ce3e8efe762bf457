//! Publishes that wait for the writer: bounded, taken in bulk. What was queued while one commit ran is the next one.

use crate::engine::{EngineError, Pending};
use parking_lot::{Condvar, Mutex};
use std::{collections::VecDeque, time::Duration};

/// Events that may wait.
const MAX_EVENTS: usize = 65_536;
/// Bytes of data that may wait.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Events of one transaction at most: the first waits for the last.
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
    waiting: VecDeque<Pending>,
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
        let refused = {
            let mut inner = self.inner.lock();
            if inner.stopped {
                (pending, "the server is stopping")
            } else if inner.waiting.len() + pending.len() > MAX_EVENTS || inner.bytes > MAX_BYTES {
                (pending, "more is published than can be stored")
            } else {
                let was_empty = inner.waiting.is_empty();
                inner.bytes += pending.iter().map(size).sum::<usize>();
                inner.waiting.extend(pending);
                drop(inner);
                if was_empty {
                    self.changed.notify_one();
                }
                return;
            }
        };
        let (pending, why) = refused;
        pending.into_iter().for_each(|pending| (pending.done)(Err(EngineError(why.to_owned()))));
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
        let mut batch = Vec::with_capacity(inner.waiting.len().min(BATCH_EVENTS));
        let mut bytes = 0;
        while batch.len() < BATCH_EVENTS
            && bytes < BATCH_BYTES
            && let Some(pending) = inner.waiting.pop_front()
        {
            bytes += size(&pending);
            batch.push(pending);
        }
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
            std::mem::take(&mut inner.waiting)
        };
        waiting.into_iter().for_each(|pending| (pending.done)(Err(EngineError("the event store has stopped".to_owned()))));
    }
}
