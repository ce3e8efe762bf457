//! Bounds the log: what a client can make happen as often as it likes is told once a second.
//!
//! Everything that is left out stays counted in the metrics; the next line of its kind says how many lines were left out.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU64;
use std::sync::LazyLock;
use std::time::Instant;

use parking_lot::Mutex;

const WINDOW_MS: u64 = 1_000;
/// Lines of one second, of all kinds and about everybody: many addresses at once must not fill the disk either. At 200 bytes a line
/// this is at most 2 GB a day, and 600 KB within half a minute.
const LINES_A_SECOND: usize = 100;

/// How many lines of a kind were left out since the last one, for a field of the line; `None` leaves the field out.
pub type LeftOut = Option<NonZeroU64>;

/// Decides which lines are logged: one per kind, subject and second, and `LINES_A_SECOND` in all.
///
/// ```
/// let seldom = osbackend_server::telemetry::Seldom::default();
/// assert_eq!(seldom.admits("refused", "192.0.2.7", 5_000), Some(None));
/// assert_eq!(seldom.admits("refused", "192.0.2.7", 5_100), None);
/// assert_eq!(seldom.admits("refused", "192.0.2.7", 6_000), Some(std::num::NonZeroU64::new(1))); // one was left out
/// ```
#[derive(Debug, Default)]
pub struct Seldom {
    hasher: RandomState,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    /// When it began, in milliseconds.
    since_ms: u64,
    /// Hashes of kind and subject: a subject may be long, and a collision only costs a line.
    told: HashSet<u64>,
    left_out: HashMap<&'static str, u64>,
}

impl Seldom {
    /// As [`Self::admits`], by the process's own clock, for callers without one. One `Seldom` is asked by one clock only.
    pub fn admits_now(&self, kind: &'static str, whom: impl Hash) -> Option<LeftOut> {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        self.admits(kind, whom, u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Whether a line of this `kind` about `whom` (an address, a user, a route) is to be logged now. `Some` has how many lines of
    /// the kind were left out since the last one: the line should say so. `kind` is written in the source, so that kinds are few.
    pub fn admits(&self, kind: &'static str, whom: impl Hash, now_ms: u64) -> Option<LeftOut> {
        let key = self.hasher.hash_one((kind, whom));
        let mut window = self.window.lock();
        // A clock that goes back begins a window, too.
        if now_ms.abs_diff(window.since_ms) >= WINDOW_MS {
            window.since_ms = now_ms;
            window.told.clear();
        }
        if window.told.len() < LINES_A_SECOND && window.told.insert(key) {
            return Some(window.left_out.remove(kind).and_then(NonZeroU64::new));
        }
        *window.left_out.entry(kind).or_default() += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_line_about_one_address_is_told_once_a_second() {
        let seldom = Seldom::default();
        let told = (0..3_000).filter(|ms| seldom.admits("refused", "192.0.2.7", 10_000 + ms).is_some()).count();
        assert_eq!(told, 3);
        assert_eq!(seldom.admits("refused", "192.0.2.8", 12_999), Some(NonZeroU64::new(999)), "another address has its own line");
        assert_eq!(seldom.admits("failed", "192.0.2.7", 12_999), Some(None), "another kind, too");
    }

    #[test]
    fn a_second_has_a_bounded_number_of_lines_however_many_addresses_there_are() {
        let seldom = Seldom::default();
        let told = (0..10_000).filter(|address| seldom.admits("refused", address, 5_000).is_some()).count();
        assert_eq!(told, LINES_A_SECOND);
        assert_eq!(seldom.admits("refused", 1, 6_000), Some(NonZeroU64::new(10_000 - LINES_A_SECOND as u64)));
        assert!(seldom.admits("refused", 1, 4_000).is_some(), "a clock that was set back silences nothing");
    }
}
