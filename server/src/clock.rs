//! The one clock that the server reads: milliseconds that never go back while the process lives, and what of them to show.
//!
//! Timers, rates and deadlines need a clock that never goes back. What is shown and compared with others' clocks (the times of events, a
//! token's `exp`, a webhook's signature) needs the system's time, also after that was set back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// From this difference on the system's clock is followed, in milliseconds: smaller ones are its ordinary corrections.
const FOLLOW_FROM_MS: u64 = 1_000;

/// How far the server's clock is ahead of the system's, in milliseconds: more than nothing once that was set back. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Ahead(Arc<AtomicU64>);

impl Ahead {
    /// The system's time when the server's clock shows `now_ms`.
    pub fn wall(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.0.load(Ordering::Relaxed))
    }

    /// What the server's clock shows at the system's time `wall_ms`.
    pub fn of_wall(&self, wall_ms: u64) -> u64 {
        wall_ms.saturating_add(self.0.load(Ordering::Relaxed))
    }
}

/// The system's clock at the start, and the time that passed since. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Clock {
    base: Instant,
    /// What the clock showed at `base`.
    base_ms: Arc<AtomicU64>,
    ahead: Ahead,
}

impl Clock {
    /// Reads the system's clock.
    pub fn start() -> Self {
        Self { base: Instant::now(), base_ms: Arc::new(AtomicU64::new(system_ms())), ahead: Ahead::default() }
    }

    /// Now, by a clock that never goes back.
    pub fn now_ms(&self) -> u64 {
        self.base_ms.load(Ordering::Relaxed) + self.passed_ms()
    }

    /// Now, in milliseconds since 1970: what to show, and to compare with other clocks.
    pub fn wall_ms(&self) -> u64 {
        self.ahead.wall(self.now_ms())
    }

    /// How far [`Self::now_ms`] is ahead of [`Self::wall_ms`].
    pub fn ahead(&self) -> &Ahead {
        &self.ahead
    }

    /// The instant at which this clock shows `at_ms`.
    pub fn instant(&self, at_ms: u64) -> Instant {
        self.base + Duration::from_millis(at_ms.saturating_sub(self.base_ms.load(Ordering::Relaxed)))
    }

    /// Follows the system's clock: after a suspended machine wakes, or after its clock was set. To be called now and then, by one caller.
    pub fn follow(&self) {
        self.follow_to(system_ms());
    }

    fn follow_to(&self, system_ms: u64) {
        if system_ms.abs_diff(self.wall_ms()) < FOLLOW_FROM_MS {
            return;
        }
        let now_ms = self.now_ms();
        // First what is shown: between the two it is too early for a moment, and never too late.
        self.ahead.0.store(now_ms.saturating_sub(system_ms), Ordering::Relaxed);
        self.base_ms.fetch_add(system_ms.saturating_sub(now_ms), Ordering::Relaxed);
    }

    fn passed_ms(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_millis()).unwrap_or_default()
    }
}

fn system_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_a_leap_forward() {
        let clock = Clock::start();
        let shared = clock.clone();
        let before = clock.now_ms();
        clock.follow_to(before + 500);
        assert!(clock.now_ms() < before + 500, "a little changes nothing");
        clock.follow_to(before + 3_600_000);
        assert!(clock.now_ms() >= before + 3_600_000 && clock.wall_ms() >= before + 3_600_000);
        assert!(shared.now_ms() >= before + 3_600_000, "copies follow too");
        assert!(clock.instant(before + 3_600_000) <= Instant::now(), "what is due by the new time is due now");
    }

    #[test]
    fn what_is_shown_follows_a_leap_back_and_timers_do_not() {
        // A test may stand still for long: an hour is more than that.
        const HOUR: u64 = 3_600_000;
        let clock = Clock::start();
        let before = clock.now_ms();
        let shows = |ms: u64| (ms..ms + HOUR).contains(&clock.wall_ms());
        // A day ahead for a while, as by a wrong answer of a time server.
        clock.follow_to(before + 24 * HOUR);
        assert!(shows(before + 24 * HOUR));
        clock.follow_to(before);
        assert!(shows(before) && clock.now_ms() >= before + 24 * HOUR);
        assert_eq!(clock.ahead().of_wall(clock.ahead().wall(7 * 86_400_000)), 7 * 86_400_000);
        // Forward again, up to where the timers are and beyond.
        clock.follow_to(before + 2 * HOUR);
        assert!(shows(before + 2 * HOUR) && clock.now_ms() < before + 25 * HOUR, "timers wait until it has come up");
        clock.follow_to(before + 48 * HOUR);
        assert!(shows(before + 48 * HOUR) && clock.now_ms() >= before + 48 * HOUR);
        assert_eq!(clock.ahead().wall(5), 5);
        clock.follow_to(before - HOUR);
        assert!(shows(before - HOUR) && clock.now_ms() >= before + 48 * HOUR);
    }
}
