//! The live connections: by number, by client id and by user; and since when departed clients are gone.

use crate::hub::{
    outbox::{Outbox, QueueLook},
    traffic::{Traffic, TrafficTotals},
};
use osbackend_protocol::CloseCode;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Departed clients that are remembered for `downtimeMs`.
const DEPARTED: usize = 50_000;

/// A connection, numbered by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What others may do to a live connection.
pub struct ConnectionHandle {
    /// Its number.
    pub id: ConnectionId,
    /// Its queue.
    pub outbox: Arc<Outbox>,
    /// What it read and wrote; its own task counts.
    pub traffic: Traffic,
    /// The number of its place, where it is counted (see `limits`); 0: nowhere.
    pub place: AtomicU64,
    /// Set by a drain: how long this client waits, in milliseconds; 0 for none. The connection's task is woken by `control`.
    drain_after_ms: AtomicU64,
    draining: AtomicBool,
    /// Wakes the connection's task to look at the drain.
    control: Mutex<Option<Waker>>,
}

/// `CONNECT_RATE` where there is no limit.
const USUAL_CONNECT_RATE: u32 = 500;

/// How long a drain of so many clients takes: at most `most`, and no longer than it takes to send them to the successor at half of
/// the rate at which that lets them in.
pub fn drain_window(clients: usize, connect_rate: Option<u32>, most: Duration) -> Duration {
    let rate = connect_rate.unwrap_or(USUAL_CONNECT_RATE).max(1);
    Duration::from_secs_f64(2.0 * clients as f64 / f64::from(rate)).min(most)
}

/// The slots of a drain (§4): how long each of `count` clients waits, in milliseconds, evenly spread over the window.
pub fn drain_slots(count: usize, window_ms: u64) -> impl Iterator<Item = u64> {
    let count = count as u64;
    (0..count).map(move |index| index * window_ms / count)
}

impl ConnectionHandle {
    fn new(id: ConnectionId, outbox: Arc<Outbox>) -> Self {
        Self {
            id,
            outbox,
            traffic: Traffic::default(),
            place: AtomicU64::new(0),
            drain_after_ms: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            control: Mutex::new(None),
        }
    }

    /// Tells the connection's task that the server goes away.
    pub fn drain(&self, after_ms: u64) {
        self.drain_after_ms.store(after_ms, Ordering::Relaxed);
        self.draining.store(true, Ordering::Release);
        if let Some(waker) = self.control.lock().take() {
            waker.wake();
        }
    }

    /// This client's slot, once the server drains; told once.
    pub fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<u64> {
        let mut control = self.control.lock();
        if self.draining.swap(false, Ordering::AcqRel) {
            return Poll::Ready(self.drain_after_ms.load(Ordering::Relaxed));
        }
        if !control.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *control = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[derive(Default)]
struct Inner {
    connections: HashMap<ConnectionId, Arc<ConnectionHandle>>,
    /// Those whose end is decided, and whose sockets are still there.
    leaving: HashMap<ConnectionId, Arc<ConnectionHandle>>,
    clients: HashMap<Arc<str>, ConnectionId>,
    users: HashMap<Arc<str>, HashSet<ConnectionId>>,
    departed: HashMap<Arc<str>, u64>,
    departed_order: VecDeque<Arc<str>>,
    draining: bool,
    /// What the queues of connections that are gone came to.
    gone: QueueLook,
    gone_traffic: TrafficTotals,
}

impl Inner {
    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.leaving.is_empty()
    }
}

/// All live connections.
#[derive(Default)]
pub struct Registry {
    inner: Mutex<Inner>,
    next: AtomicU64,
    /// Wakes who waits for the last connection to go.
    empty: Mutex<Option<Waker>>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// Connections whose end is not decided.
    pub total: usize,
    /// Those with a user.
    pub authenticated: usize,
}

/// The queues of all connections together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueTotals {
    /// Queued bytes now.
    pub bytes: usize,
    /// Of the longest queue.
    pub largest: usize,
    /// Events that gave way to newer ones, since the start.
    pub conflated: u64,
    /// Messages that were dropped with slow consumers, since the start.
    pub dropped: u64,
    /// What was read and written, since the start.
    pub traffic: TrafficTotals,
}

impl Registry {
    /// Adds a connection.
    pub fn add(&self, outbox: Arc<Outbox>) -> Arc<ConnectionHandle> {
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        let handle = Arc::new(ConnectionHandle::new(id, outbox));
        let mut inner = self.inner.lock();
        inner.connections.insert(id, handle.clone());
        if inner.draining {
            // It was let in just before: the drain has not seen it, and would leave it without a word.
            handle.drain(0);
        }
        drop(inner);
        handle
    }

    /// Begins a drain: every connection, in the order of their arrival. One that is added later is sent away at once.
    pub fn begin_drain(&self) -> Vec<Arc<ConnectionHandle>> {
        let mut inner = self.inner.lock();
        inner.draining = true;
        let mut all: Vec<_> = inner.connections.values().cloned().collect();
        all.sort_unstable_by_key(|handle| handle.id);
        all
    }

    /// Whether a drain has begun.
    pub fn is_draining(&self) -> bool {
        self.inner.lock().draining
    }

    /// Gives a connection its client id. An older connection with the same one is closed: the newer wins.
    /// Returns since when that client was gone, in milliseconds since 1970, if that is known: not at all where the older
    /// connection was still there.
    pub fn name_client(&self, id: ConnectionId, client: &Arc<str>, now_ms: u64) -> Option<u64> {
        let mut inner = self.inner.lock();
        let gone_at = inner.departed.remove(client);
        if let Some(older) = inner.clients.insert(client.clone(), id)
            && older != id
            && let Some(handle) = inner.connections.get(&older)
        {
            // The client reconnects after this code: what comes late may be the connection that it has given up, and the
            // one that is closed here the one it lives on.
            handle.outbox.close(CloseCode::NoHeartbeat);
            return Some(now_ms);
        }
        gone_at
    }

    /// Notes that a connection has this user now.
    pub fn name_user(&self, id: ConnectionId, user: &Arc<str>) {
        self.inner.lock().users.entry(user.clone()).or_default().insert(id);
    }

    /// The end of a connection is decided: it is nobody's any more and counts no more, but its socket is still there.
    pub fn retire(&self, id: ConnectionId, client: Option<&Arc<str>>, user: Option<&Arc<str>>, now_ms: u64) {
        let mut inner = self.inner.lock();
        if let Some(handle) = inner.connections.remove(&id) {
            inner.leaving.insert(id, handle);
        }
        if let Some(user) = user
            && let Some(connections) = inner.users.get_mut(user)
        {
            connections.remove(&id);
            if connections.is_empty() {
                inner.users.remove(user);
            }
        }
        if let Some(client) = client
            && inner.clients.get(client) == Some(&id)
        {
            inner.clients.remove(client);
            inner.departed.insert(client.clone(), now_ms);
            inner.departed_order.push_back(client.clone());
            if inner.departed_order.len() > DEPARTED
                && let Some(oldest) = inner.departed_order.pop_front()
            {
                inner.departed.remove(&oldest);
            }
        }
    }

    /// Removes a connection that was retired: its socket is gone.
    pub fn remove(&self, id: ConnectionId) {
        let mut inner = self.inner.lock();
        if let Some(handle) = inner.leaving.remove(&id) {
            let QueueLook { conflated, dropped, .. } = handle.outbox.look();
            inner.gone.conflated += conflated;
            inner.gone.dropped += dropped;
            inner.gone_traffic.add(&handle.traffic);
        }
        if inner.is_empty()
            && let Some(waker) = self.empty.lock().take()
        {
            waker.wake();
        }
    }

    /// Connections of a user.
    pub fn of_user(&self, user: &str) -> Vec<Arc<ConnectionHandle>> {
        let inner = self.inner.lock();
        let ids = inner.users.get(user).into_iter().flatten();
        ids.filter_map(|id| inner.connections.get(id).cloned()).collect()
    }

    /// The connection of a client.
    pub fn of_client(&self, client: &str) -> Option<Arc<ConnectionHandle>> {
        let inner = self.inner.lock();
        inner.clients.get(client).and_then(|id| inner.connections.get(id)).cloned()
    }

    /// Ready once no connection is left; for one waiter at a time.
    pub fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        let inner = self.inner.lock();
        if inner.is_empty() {
            return Poll::Ready(());
        }
        *self.empty.lock() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The queues of all connections, those that are gone included in the sums since the start. Each queue is locked for a
    /// look, none while the registry is.
    pub fn queues(&self) -> QueueTotals {
        let (gone, traffic, handles) = {
            let inner = self.inner.lock();
            (
                inner.gone,
                inner.gone_traffic,
                inner.connections.values().chain(inner.leaving.values()).cloned().collect::<Vec<_>>(),
            )
        };
        let mut totals = QueueTotals { conflated: gone.conflated, dropped: gone.dropped, traffic, ..QueueTotals::default() };
        for handle in handles {
            let look = handle.outbox.look();
            totals.traffic.add(&handle.traffic);
            totals.bytes += look.bytes;
            totals.largest = totals.largest.max(look.bytes);
            totals.conflated += look.conflated;
            totals.dropped += look.dropped;
        }
        totals
    }

    /// How many there are.
    pub fn counts(&self) -> ConnectionCounts {
        let inner = self.inner.lock();
        ConnectionCounts { total: inner.connections.len(), authenticated: inner.users.values().map(HashSet::len).sum() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbackend_protocol::Reconnect;

    #[test]
    fn a_drain_is_as_long_as_its_clients_need() {
        let most = Duration::from_secs(20);
        for (clients, ms) in [(0, 0), (1, 4), (30, 120), (2_500, 10_000), (5_000, 20_000), (50_000, 20_000)] {
            assert_eq!(drain_window(clients, Some(500), most), Duration::from_millis(ms), "{clients} clients");
        }
        assert_eq!(drain_window(5_000, None, most), most, "who lifts the limit is not stormed either");
        assert_eq!(drain_window(30, Some(500), Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn who_is_let_in_just_before_a_drain_is_sent_away_too() {
        let registry = Registry::default();
        let early = registry.add(Arc::new(Outbox::new(0)));
        assert_eq!(registry.begin_drain().len(), 1);
        let late = registry.add(Arc::new(Outbox::new(0)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(early.poll_drain(&mut cx).is_pending(), "its slot is for the drain to give");
        assert_eq!(late.poll_drain(&mut cx), Poll::Ready(0));
    }

    #[test]
    fn a_client_whose_abandoned_attempt_comes_late_may_come_back() {
        let registry = Registry::default();
        let client: Arc<str> = "c-1".into();
        let [lives, late] = [(); 2].map(|()| registry.add(Arc::new(Outbox::new(0))));
        assert_eq!(registry.name_client(lives.id, &client, 5), None, "never gone");
        assert_eq!(registry.name_client(late.id, &client, 7), Some(7), "not away at all");
        let code = lives.outbox.ending().map(CloseCode::code);
        assert_eq!(code.map(CloseCode::reconnect), Some(Reconnect::Yes), "{code:?}");
        registry.retire(lives.id, Some(&client), None, 5);
        registry.remove(lives.id);
        assert!(registry.of_client("c-1").is_some_and(|handle| handle.id == late.id));
    }
}
