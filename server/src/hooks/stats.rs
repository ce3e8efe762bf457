//! What the hooks count, to be read by whoever exports it. Plain atomics: reading costs the counted nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the buckets of [`Durations`], in milliseconds; one more bucket takes the rest.
pub const BUCKETS_MS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 3_000];

/// How long something took, as a histogram.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [AtomicU64; BUCKETS_MS.len() + 1],
    micros: AtomicU64,
}

impl Durations {
    pub(crate) fn add(&self, took: Duration) {
        let place = BUCKETS_MS.iter().position(|most| took <= Duration::from_millis(*most)).unwrap_or(BUCKETS_MS.len());
        self.buckets[place].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How many took at most the bucket's bound and more than the bound before; the last has no bound.
    pub fn buckets(&self) -> [u64; BUCKETS_MS.len() + 1] {
        std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed))
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets().iter().sum()
    }

    /// The time of all together, in microseconds.
    pub fn total_micros(&self) -> u64 {
        self.micros.load(Ordering::Relaxed)
    }

    /// Sum in seconds, count, and each bucket's upper bound in seconds with its own count: as an exporter wants it.
    pub fn read(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let bounds = BUCKETS_MS.iter().map(|ms| Duration::from_millis(*ms).as_secs_f64()).chain([f64::MAX]);
        let buckets: Vec<_> = bounds.zip(self.buckets()).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        (Duration::from_micros(self.total_micros()).as_secs_f64(), count, buckets)
    }
}

/// What became of the questions and notifications of a server.
#[derive(Debug, Default)]
pub struct HookStats {
    /// Questions that the backend allowed, or took.
    pub allowed: Count,
    /// Questions that it denied.
    pub denied: Count,
    /// Questions that it could not be asked, or answered with nothing that can be used.
    pub unavailable: Count,
    /// How long questions took, whatever became of them.
    pub questions: Durations,
    /// Events that its answers published.
    pub published: Count,
    /// Notifications that were delivered.
    pub delivered: Count,
    /// Attempts to deliver a notification that failed and are tried again.
    pub retried: Count,
    /// Notifications that were given up: too many attempts, or refused for good.
    pub failed: Count,
    /// Notifications that were dropped because too many waited.
    pub dropped: Count,
    /// How often the circuit breaker opened.
    pub opened: Count,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        let durations = Durations::default();
        for ms in [0, 1, 2, 3_000, 3_001, 90_000] {
            durations.add(Duration::from_millis(ms));
        }
        let buckets = durations.buckets();
        assert_eq!((buckets[0], buckets[1], buckets[9], buckets[10]), (2, 1, 1, 2));
        assert_eq!((durations.count(), durations.total_micros()), (6, 96_004_000));
        let (sum, count, read) = durations.read();
        assert_eq!((sum, count, read[0], read[10]), (96.004, 6, (0.001, 2), (f64::MAX, 2)));
    }
}
