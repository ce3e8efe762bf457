//! From the writer to the hub: what was committed is delivered where the members' tasks run, while the writer waits.
//!
//! A delivery wakes a task for each member. On a thread of the runtime they go to that thread's own queue, without a lock
//! and a system call each; from the writer's thread a room of a thousand costs a tenth more. The writer waits, so
//! that what is published meanwhile becomes one transaction, and batches are delivered in order.

use crate::engine::{Apply, Stored};
use parking_lot::{Condvar, Mutex};
use std::sync::{Arc, OnceLock, Weak};

/// Drops what it is given soon, on a thread where the members' tasks run.
pub type DropThere = Arc<dyn Fn(Box<dyn Send>) + Send + Sync>;

/// See the module.
#[derive(Default)]
pub(super) struct Handover {
    pub(super) hub: OnceLock<Weak<dyn Apply + Send + Sync>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Committed, and not yet taken by whoever delivers it.
    waiting: Option<Vec<Stored>>,
    /// Somebody delivers.
    busy: bool,
    /// No runtime is waited for any more: the thread that stops the engine may be its only one.
    stopping: bool,
    panicked: bool,
}

impl Handover {
    /// Delivers `stored`, and returns when that is done.
    pub(super) fn deliver(self: &Arc<Self>, stored: Vec<Stored>, there: Option<&DropThere>) {
        {
            let mut state = self.state.lock();
            state.waiting = Some(stored);
            if state.stopping {
                drop(state);
                return self.work();
            }
        }
        match there {
            Some(there) => there(Box::new(Turn(self.clone()))),
            None => self.work(),
        }
        let mut state = self.state.lock();
        while state.busy || state.waiting.is_some() {
            if state.stopping && !state.busy {
                drop(state);
                self.work();
                state = self.state.lock();
            } else {
                self.changed.wait(&mut state);
            }
        }
        // What was committed and not delivered would be a hole in the rooms' streams. Nothing goes on from there.
        assert!(!state.panicked, "a delivery panicked");
    }

    /// From here on the writer delivers by itself.
    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Delivers what waits, unless somebody has taken it.
    fn work(&self) {
        let stored = {
            let mut state = self.state.lock();
            let Some(stored) = state.waiting.take() else { return };
            state.busy = true;
            stored
        };
        // Dropped last: it may be the hub's last holder, and its drop waits for the writer, who waits for `Busy`.
        let hub = self.hub.get().and_then(Weak::upgrade);
        let _busy = Busy(self);
        match &hub {
            Some(hub) => hub.deliver(stored),
            // The last handle is gone, and with it every member; what is committed is published all the same.
            None => stored.into_iter().for_each(|Stored { published, done, .. }| done(Ok(published))),
        }
    }
}

/// The right to deliver, which is used by dropping it: a runtime that is gone drops its tasks instead of running them.
struct Turn(Arc<Handover>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.work();
    }
}

/// While a delivery runs, however it ends.
struct Busy<'a>(&'a Handover);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.busy = false;
        state.panicked |= std::thread::panicking();
        drop(state);
        self.0.changed.notify_all();
    }
}
