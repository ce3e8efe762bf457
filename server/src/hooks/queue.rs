//! Notifications that wait to be delivered: bounded lanes, in each of which order is kept, and when to try again.
//!
//! All notifications of one client are in one lane, so that they are delivered in order; one that is tried again and again
//! holds up its own lane only.

use parking_lot::Mutex;
use std::{collections::VecDeque, time::Duration};
use tokio::sync::Notify;

/// Lanes, each with one delivery at a time.
pub(super) const LANES: usize = 8;

/// A notification.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) event: &'static str,
    pub(super) delivery_id: String,
    pub(super) body: String,
    /// Whom a failure is counted to.
    pub(super) asker: String,
}

#[derive(Default)]
struct Lane {
    waiting: Mutex<VecDeque<Notice>>,
    more: Notify,
}

/// The lanes.
pub(super) struct Queue {
    lanes: [Lane; LANES],
    most: usize,
    /// Notices that wait or are on their way.
    open: Mutex<usize>,
    empty: Notify,
}

impl Queue {
    /// Lanes for `most` notices together.
    pub(super) fn new(most: usize) -> Self {
        let most = most.div_ceil(LANES).max(1);
        Self { lanes: Default::default(), most, open: Mutex::new(0), empty: Notify::new() }
    }

    /// Adds a notice to a lane; whether the oldest there was dropped for it.
    pub(super) fn push(&self, lane: usize, notice: Notice) -> bool {
        let lane = &self.lanes[lane % LANES];
        // Counted first: it may be taken and done before this returns.
        *self.open.lock() += 1;
        let dropped = {
            let mut waiting = lane.waiting.lock();
            let dropped = if waiting.len() >= self.most { waiting.pop_front() } else { None };
            waiting.push_back(notice);
            dropped.is_some()
        };
        lane.more.notify_one();
        if dropped {
            self.done();
        }
        dropped
    }

    /// The oldest notice of a lane, once there is one. [`Self::done`] is to be called for it.
    pub(super) async fn next(&self, lane: usize) -> Notice {
        let lane = &self.lanes[lane % LANES];
        loop {
            if let Some(notice) = lane.waiting.lock().pop_front() {
                return notice;
            }
            lane.more.notified().await;
        }
    }

    /// A notice that was taken is delivered or given up.
    pub(super) fn done(&self) {
        let mut open = self.open.lock();
        *open -= 1;
        if *open == 0 {
            self.empty.notify_waiters();
        }
    }

    /// How many wait or are on their way.
    pub(super) fn open(&self) -> usize {
        *self.open.lock()
    }

    /// Returns when nothing waits and nothing is on its way.
    pub(super) async fn emptied(&self) {
        loop {
            let empty = self.empty.notified();
            tokio::pin!(empty);
            // From here on it hears of it, also if it happens before it is awaited.
            empty.as_mut().enable();
            if self.open() == 0 {
                return;
            }
            empty.await;
        }
    }
}

/// How long to wait before an attempt that follows `failed` failed ones: twice as long each time, from `first` to `most`,
/// and up to half of it less by chance (`random`), so that servers that lost the same backend don't come back together.
pub(super) fn backoff(failed: u32, first: Duration, most: Duration, random: u32) -> Duration {
    let whole = first.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1))).min(most);
    whole.mul_f64(1.0 - 0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(id: usize) -> Notice {
        Notice { event: "disconnect", delivery_id: id.to_string(), body: String::new(), asker: String::new() }
    }

    #[tokio::test]
    async fn a_full_lane_drops_its_oldest_and_keeps_order() {
        let queue = Queue::new(3 * LANES);
        let dropped: Vec<bool> = (0..5).map(|id| queue.push(1, notice(id))).collect();
        assert_eq!(dropped, [false, false, false, true, true]);
        assert!(!queue.push(2, notice(9)), "another lane is not full");
        assert_eq!(queue.open(), 4);
        for id in ["2", "3", "4"] {
            assert_eq!(queue.next(1).await.delivery_id, id);
            queue.done();
        }
        assert_eq!(queue.next(2).await.delivery_id, "9");
        queue.done();
        queue.emptied().await;
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound_with_jitter() {
        let (first, most) = (Duration::from_millis(500), Duration::from_secs(30));
        let waits: Vec<u128> = (1..=8).map(|failed| backoff(failed, first, most, 0).as_millis()).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!(backoff(3, first, most, u32::MAX).as_millis(), 1_000, "half as long at least");
        assert_eq!(backoff(u32::MAX, first, most, 0), most);
    }
}
