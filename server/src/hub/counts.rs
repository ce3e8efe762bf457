//! What the rooms count: by the batch, never by the delivery, so that counting costs the fan-out nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one publish into one room came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    classes: [u64; 3],
    deliveries: u64,
}

impl Batch {
    /// Of events with this offset and this key or none, queued for so many members.
    pub(super) fn of(events: impl Iterator<Item = (Option<u64>, bool)>, members: usize) -> Self {
        let mut batch = Self::default();
        for event in events {
            let class = match event {
                (None, _) => 2,
                (Some(_), true) => 1,
                (Some(_), false) => 0,
            };
            batch.classes[class] += 1;
            batch.deliveries += members as u64;
        }
        batch
    }

    /// The same with so many deliveries.
    pub(super) fn delivered(self, deliveries: u64) -> Self {
        Self { deliveries, ..self }
    }
}

/// Sums since the start.
#[derive(Debug, Default)]
pub struct Counts {
    classes: [AtomicU64; 3],
    deliveries: AtomicU64,
    replayed: AtomicU64,
}

impl Counts {
    pub(super) fn published(&self, batch: Batch) {
        for (sum, count) in self.classes.iter().zip(batch.classes) {
            if count > 0 {
                sum.fetch_add(count, Ordering::Relaxed);
            }
        }
        self.deliveries.fetch_add(batch.deliveries, Ordering::Relaxed);
    }

    pub(super) fn joined(&self, queued: u64) {
        if queued > 0 {
            self.replayed.fetch_add(queued, Ordering::Relaxed);
        }
    }

    /// Events that were published, by class (§5); one that was published again under its idempotency key counts once.
    pub fn published_by_class(&self) -> [(&'static str, u64); 3] {
        let names = ["reliable", "latest", "ephemeral"];
        std::array::from_fn(|index| (names[index], self.classes[index].load(Ordering::Relaxed)))
    }

    /// Events queued for a member, each member counted.
    pub fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Events of replays and snapshots that were queued for who joined.
    pub fn replayed(&self) -> u64 {
        self.replayed.load(Ordering::Relaxed)
    }
}
