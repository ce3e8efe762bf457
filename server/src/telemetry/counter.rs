//! Counters for what happens with every frame: no lock, no allocation, and no cache line that all threads write to.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// As many threads count without disturbing each other.
const SHARDS: usize = 8;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

/// A count, alone in its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Cell(AtomicU64);

/// A count that each thread adds to in a place of its own. Reading it adds the places up.
///
/// ```
/// let count = osbackend_server::telemetry::counter::Sharded::default();
/// std::thread::scope(|scope| (0..4).for_each(|_| { scope.spawn(|| count.add(2)); }));
/// assert_eq!(count.get(), 8);
/// ```
#[derive(Debug, Default)]
pub struct Sharded([Cell; SHARDS]);

impl Sharded {
    /// Adds `count`: one uncontended addition, some nanoseconds.
    pub fn add(&self, count: u64) {
        SHARD.with(|shard| self.0[*shard].0.fetch_add(count, Ordering::Relaxed));
    }

    /// The sum; what is added meanwhile may or may not be in it. It never goes down.
    pub fn get(&self) -> u64 {
        self.0.iter().map(|cell| cell.0.load(Ordering::Relaxed)).sum()
    }
}

/// Upper bounds of the buckets of [`Durations`], in seconds: from a publish that meets an idle room to a stalled one.
pub const BOUNDS: [f64; 14] =
    [0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0];

/// A histogram of durations that is observed without a lock.
#[derive(Debug, Default)]
pub struct Durations {
    /// The last is for what is longer than every bound.
    buckets: [Sharded; BOUNDS.len() + 1],
    nanoseconds: Sharded,
}

impl Durations {
    /// Notes one.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.buckets[BOUNDS.partition_point(|bound| *bound < seconds)].add(1);
        self.nanoseconds.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Sum in seconds, count, and each bucket's upper bound with its own count.
    pub fn read(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let bounds = BOUNDS.iter().copied().chain([f64::MAX]);
        let buckets: Vec<_> = bounds.zip(self.buckets.iter().map(Sharded::get)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        (Duration::from_nanos(self.nanoseconds.get()).as_secs_f64(), count, buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let durations = Durations::default();
        for micros in [1, 5, 6, 2_000_000] {
            durations.observe(Duration::from_micros(micros));
        }
        let (sum, count, buckets) = durations.read();
        assert_eq!(count, 4);
        assert!((sum - 2.000_012).abs() < 1e-9, "{sum}");
        let filled: Vec<_> = buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.000_005, 2), (0.000_01, 1), (f64::MAX, 1)]);
    }

    #[test]
    fn threads_lose_no_count() {
        let count = Sharded::default();
        std::thread::scope(|scope| {
            for _ in 0..3 * SHARDS {
                scope.spawn(|| (0..1000).for_each(|_| count.add(1)));
            }
        });
        assert_eq!(count.get(), 24_000);
    }
}
