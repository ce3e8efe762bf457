//! The one clock that the server reads: milliseconds since 1970 that never go back while the process lives.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// From this difference on the system's clock is followed, in milliseconds: smaller ones are its ordinary corrections.
const FOLLOW_FROM_MS: u64 = 1_000;

/// The system's clock at the start, and the time that passed since. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Clock {
    base: Instant,
    /// What the clock showed at `base`.
    base_ms: Arc<AtomicU64>,
}

impl Clock {
    /// Reads the system's clock.
    pub fn start() -> Self {
        Self { base: Instant::now(), base_ms: Arc::new(AtomicU64::new(system_ms())) }
    }

    /// Now.
    pub fn now_ms(&self) -> u64 {
        self.base_ms.load(Ordering::Relaxed) + self.passed_ms()
    }

    /// The instant at which this clock shows `at_ms`.
    pub fn instant(&self, at_ms: u64) -> Instant {
        self.base + Duration::from_millis(at_ms.saturating_sub(self.base_ms.load(Ordering::Relaxed)))
    }

    /// Follows the system's clock forward: after a suspended machine wakes, or after its clock was set. To be called now and then.
    pub fn follow(&self) {
        self.follow_to(system_ms());
    }

    fn follow_to(&self, system_ms: u64) {
        let ahead = system_ms.saturating_sub(self.now_ms());
        if ahead >= FOLLOW_FROM_MS {
            self.base_ms.fetch_add(ahead, Ordering::Relaxed);
        }
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
    fn it_follows_a_leap_forward_and_nothing_else() {
        let clock = Clock::start();
        let shared = clock.clone();
        let before = clock.now_ms();
        clock.follow_to(before - 3_600_000);
        clock.follow_to(before + 500);
        assert!(clock.now_ms() < before + 500, "back, and a little forward, change nothing");
        clock.follow_to(before + 3_600_000);
        assert!(clock.now_ms() >= before + 3_600_000);
        assert!(shared.now_ms() >= before + 3_600_000, "copies follow too");
        assert!(clock.instant(before + 3_600_000) <= Instant::now(), "what is due by the new time is due now");
    }
}
