//! Points that are to be written to a store elsewhere: the port, and its adapter in memory.

use super::{MetricsError, Point};
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::sync::Notify;

/// Points that wait in memory at most.
const MOST: usize = 100_000;

/// Points in the order of their ids, which begin at 1.
pub trait Backlog: Send + Sync + 'static {
    /// The id of the newest point; 0 where none waits.
    ///
    /// # Errors
    /// They can't be read now.
    fn newest(&self) -> Result<u64, MetricsError>;

    /// Up to `most` points after `id`.
    ///
    /// # Errors
    /// They can't be read now.
    fn after(&self, id: u64, most: usize) -> Result<Vec<(u64, Point)>, MetricsError>;

    /// Points up to this one are written: they need not be kept.
    fn forwarded(&self, through: u64);

    /// Told when points were added.
    fn changed(&self) -> &Notify;
}

/// Points that wait in memory: a restart loses those that were not written yet.
#[derive(Default)]
pub struct MemoryBacklog {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    newest: u64,
    points: VecDeque<(u64, Point)>,
}

impl MemoryBacklog {
    /// Adds a point.
    pub fn record(&self, point: Point) {
        let mut waiting = self.waiting.lock();
        waiting.newest += 1;
        let id = waiting.newest;
        if waiting.points.len() >= MOST {
            waiting.points.pop_front();
        }
        waiting.points.push_back((id, point));
        drop(waiting);
        self.changed.notify_one();
    }
}

impl Backlog for MemoryBacklog {
    fn newest(&self) -> Result<u64, MetricsError> {
        Ok(self.waiting.lock().points.back().map_or(0, |(id, _)| *id))
    }

    fn after(&self, id: u64, most: usize) -> Result<Vec<(u64, Point)>, MetricsError> {
        Ok(self.waiting.lock().points.iter().filter(|(this, _)| *this > id).take(most).cloned().collect())
    }

    fn forwarded(&self, through: u64) {
        let mut waiting = self.waiting.lock();
        while waiting.points.front().is_some_and(|(id, _)| *id <= through) {
            waiting.points.pop_front();
        }
    }

    fn changed(&self) -> &Notify {
        &self.changed
    }
}
