//! When which user of which room is gone for good, and who waits for the next such time.

use osbackend_protocol::RoomName;
use parking_lot::Mutex;
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// One user of one room, to be looked at when it is due.
type Due = Reverse<(u64, RoomName, Arc<str>)>;

#[derive(Default)]
struct Inner {
    due: BinaryHeap<Due>,
    /// Rooms whose picture is stale until the time after the start is over.
    stale: Vec<RoomName>,
    /// Whether that time is over.
    settled: bool,
    waker: Option<Waker>,
}

/// What time brings, of all rooms.
pub(super) struct Departures {
    inner: Mutex<Inner>,
    quiet_until: u64,
}

impl Departures {
    pub(super) fn new(quiet_until: u64) -> Self {
        Self { inner: Mutex::default(), quiet_until }
    }

    /// A user is to be looked at again at `at`.
    pub(super) fn remind(&self, at: u64, room: RoomName, user: Arc<str>) {
        let waker = {
            let mut inner = self.inner.lock();
            inner.due.push(Reverse((at, room, user)));
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// A room's picture is to be sent anew when the time after the start is over.
    pub(super) fn stale(&self, room: RoomName) {
        self.inner.lock().stale.push(room);
    }

    /// When something is due next, in milliseconds since 1970.
    pub(super) fn next(&self) -> Option<u64> {
        self.inner.lock().next(self.quiet_until)
    }

    /// The same; pending while nothing is, for one waiter at a time.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<u64> {
        let mut inner = self.inner.lock();
        if let Some(at) = inner.next(self.quiet_until) {
            return Poll::Ready(at);
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What is due by now: users to be looked at, and rooms whose picture is to be sent.
    pub(super) fn take(&self, now: u64) -> (Vec<(RoomName, Arc<str>)>, Vec<RoomName>) {
        let mut inner = self.inner.lock();
        let mut users = Vec::new();
        while inner.due.peek().is_some_and(|Reverse((at, ..))| *at <= now)
            && let Some(Reverse((_, room, user))) = inner.due.pop()
        {
            users.push((room, user));
        }
        if inner.due.is_empty() {
            // A storm is over: nothing of it stays.
            inner.due = BinaryHeap::new();
        }
        if now < self.quiet_until {
            return (users, Vec::new());
        }
        inner.settled = true;
        (users, std::mem::take(&mut inner.stale))
    }
}

impl Inner {
    fn next(&self, quiet_until: u64) -> Option<u64> {
        let due = self.due.peek().map(|Reverse((at, ..))| *at);
        // From the start on, whether a picture is stale or not: who waits for the next time needs not be told of an earlier one.
        let settling = (!self.settled).then_some(quiet_until);
        due.into_iter().chain(settling).min()
    }
}

/// Whoever waits learns that there is nothing to wait for any more.
impl Drop for Departures {
    fn drop(&mut self) {
        if let Some(waker) = self.inner.get_mut().waker.take() {
            waker.wake();
        }
    }
}
