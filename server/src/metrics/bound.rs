//! How many metrics there may be: whoever publishes chooses their names, and each costs memory, rows and upkeep for as long as it is kept.

use std::sync::atomic::{AtomicU64, Ordering};

/// Metrics at once. A point of a further one is not stored until an older metric is over its age; its event is delivered all the same.
pub const MOST_METRICS: usize = 10_000;

/// Points of this process that were not stored, or forgotten, because of it.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Points that were not stored since the process began because there were [`MOST_METRICS`], or were forgotten by the memory engine.
pub fn refused_points() -> u64 {
    REFUSED.load(Ordering::Relaxed)
}

/// Counts the points of a metric that is forgotten for another of `most`, and says so in the log: each time that the number has doubled.
pub(super) fn forget(metric: &str, most: usize, points: usize) {
    let before = REFUSED.fetch_add(points as u64, Ordering::Relaxed);
    let forgotten = before + points as u64;
    if before.checked_ilog2() != forgotten.checked_ilog2() {
        tracing::warn!(
            metric,
            forgotten,
            "there are {most} metrics in memory: the one that was updated longest ago is forgotten"
        );
    }
}

/// Counts a point that is not stored, and says so in the log: each time that the number has doubled.
pub(super) fn refuse(metric: &str) {
    let refused = REFUSED.fetch_add(1, Ordering::Relaxed) + 1;
    if refused.is_power_of_two() {
        tracing::error!(
            metric,
            refused,
            "there are {MOST_METRICS} metrics: points of further ones are not stored. Put what varies into `values`, not into the name"
        );
    }
}
