//! How long to wait before the next attempt, and when to give up.

use crate::config::BackoffConfig;

/// A small seeded generator (splitmix64): good enough for jitter, and the same seed gives the same run.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator that is wholly decided by `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Delays, in milliseconds before jitter, of the attempts after a server said that it restarts: its successor is expected within
/// seconds. The attempts that follow are spaced like those of any failure.
const RESTART_MS: [u64; 6] = [200, 300, 500, 700, 1_000, 1_500];

/// Counts attempts and failures since a session last lived long enough.
#[derive(Debug)]
pub(crate) struct Backoff {
    config: BackoffConfig,
    rng: Rng,
    attempts: u32,
    failures: u32,
    /// How many of [`RESTART_MS`] are used up.
    restart_failures: usize,
}

impl Backoff {
    pub(crate) fn new(config: BackoffConfig, seed: u64) -> Self {
        Self { config, rng: Rng::new(seed), attempts: 0, failures: 0, restart_failures: RESTART_MS.len() }
    }

    /// Begins an attempt and returns its number, from 1.
    pub(crate) fn begin(&mut self) -> u32 {
        self.attempts = self.attempts.saturating_add(1);
        self.attempts
    }

    /// The attempt that begins next comes before its time: it is one more, not one of those that are allowed.
    pub(crate) fn grant(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
    }

    /// The number that the next attempt will have.
    pub(crate) fn upcoming(&self) -> u32 {
        self.attempts.saturating_add(1)
    }

    /// Whether the last attempt that is allowed has been made.
    pub(crate) fn exhausted(&self) -> bool {
        let expected_back = self.restart_failures < RESTART_MS.len();
        self.config.attempts != 0 && self.attempts >= self.config.attempts && !expected_back
    }

    /// The server restarts: the next failures are followed by short delays, and don't use up the attempts that are allowed.
    pub(crate) fn restarting(&mut self) {
        self.restart_failures = 0;
    }

    /// Counts a failure and returns the delay in milliseconds until the next attempt.
    pub(crate) fn fail(&mut self) -> u64 {
        let factor = if self.config.factor >= 1.0 { self.config.factor } else { 1.0 };
        let exponent = i32::try_from(self.failures).unwrap_or(i32::MAX);
        // A power that overflows is infinite, and min() brings it back to the cap.
        let mut capped = (self.config.initial_ms as f64 * factor.powi(exponent)).min(self.config.max_ms as f64);
        if let Some(ms) = RESTART_MS.get(self.restart_failures) {
            self.restart_failures += 1;
            self.grant();
            capped = capped.min(*ms as f64);
        } else {
            self.failures = self.failures.saturating_add(1);
        }
        self.jittered(capped)
    }

    /// How long to rest after a series of attempts, in milliseconds; `None` where no series follows by itself.
    pub(crate) fn rest(&mut self) -> Option<u64> {
        (self.config.rest_ms > 0).then(|| self.jittered(self.config.rest_ms as f64))
    }

    /// How many refusals of one token make a full backoff: as many as a series has attempts.
    pub(crate) fn full(&self) -> u32 {
        if self.config.attempts == 0 { BackoffConfig::default().attempts } else { self.config.attempts }
    }

    fn jittered(&mut self, delay: f64) -> u64 {
        let jitter = if (0.0..=1.0).contains(&self.config.jitter) { self.config.jitter } else { 0.5 };
        let share = 1.0 - jitter * self.rng.unit();
        // Never at once: a loop of failures must leave the machine some air.
        ((delay * share) as u64).max(1)
    }

    /// A session ended that had lived `lived_ms`: if that was long enough (then true), all before it is forgotten.
    pub(crate) fn session_ended(&mut self, lived_ms: u64) -> bool {
        let long_enough = lived_ms >= self.config.reset_after_ms;
        if long_enough {
            self.reset();
        }
        long_enough
    }

    /// Forgets all attempts and failures.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
        self.failures = 0;
        self.restart_failures = RESTART_MS.len();
    }

    /// Uniform in `[low, high)`, from the same generator.
    pub(crate) fn spread(&mut self, low: u64, high: u64) -> u64 {
        low + ((high.saturating_sub(low)) as f64 * self.rng.unit()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_jitter_stays_in_its_half() {
        let mut backoff = Backoff::new(BackoffConfig::default(), 7);
        for capped in [5_000, 10_000, 20_000, 30_000, 30_000, 30_000] {
            let delay = backoff.fail();
            assert!((capped / 2..=capped).contains(&delay), "{delay} for {capped}");
        }
    }

    #[test]
    fn jitter_uses_its_whole_range() {
        let mut low = u64::MAX;
        let mut high = 0;
        for seed in 0..2_000 {
            let delay = Backoff::new(BackoffConfig::default(), seed).fail();
            low = low.min(delay);
            high = high.max(delay);
        }
        assert!(low < 2_550 && high > 4_950, "{low}..{high}");
    }

    #[test]
    fn a_short_session_forgets_nothing() {
        let mut backoff = Backoff::new(BackoffConfig { attempts: 2, ..BackoffConfig::default() }, 1);
        assert_eq!(backoff.begin(), 1);
        backoff.fail();
        backoff.session_ended(4_999);
        assert_eq!(backoff.begin(), 2);
        assert!(backoff.exhausted());
        backoff.session_ended(5_000);
        assert!(!backoff.exhausted());
        assert_eq!(backoff.upcoming(), 1);
    }

    #[test]
    fn a_restarting_server_is_tried_quickly_at_first_and_these_attempts_do_not_count() {
        let mut backoff = Backoff::new(BackoffConfig { attempts: 1, ..BackoffConfig::default() }, 5);
        backoff.restarting();
        for capped in RESTART_MS {
            assert_eq!(backoff.begin(), 1);
            assert!(!backoff.exhausted());
            let delay = backoff.fail();
            assert!((capped / 2..=capped).contains(&delay), "{delay} for {capped}");
        }
        backoff.begin();
        assert!(backoff.exhausted());
        assert!((2_500..=5_000).contains(&backoff.fail()), "the first delay of an ordinary failure");
    }

    #[test]
    fn delays_that_are_shorter_than_those_of_a_restart_stay_short() {
        let mut backoff = Backoff::new(BackoffConfig { initial_ms: 20, max_ms: 40, ..BackoffConfig::default() }, 5);
        backoff.restarting();
        assert!((0..8).all(|_| backoff.fail() <= 40));
    }

    #[test]
    fn odd_settings_give_finite_delays() {
        for factor in [f64::NAN, -3.0, 0.0, f64::INFINITY, 1e300] {
            let config = BackoffConfig { factor, jitter: f64::NAN, ..BackoffConfig::default() };
            let mut backoff = Backoff::new(config, 3);
            for _ in 0..5 {
                assert!(backoff.fail() <= 30_000);
            }
        }
    }

    #[test]
    fn unlimited_attempts_are_never_exhausted() {
        let mut backoff = Backoff::new(BackoffConfig { attempts: 0, ..BackoffConfig::default() }, 1);
        for _ in 0..1_000 {
            backoff.begin();
            backoff.fail();
        }
        assert!(!backoff.exhausted());
    }
}
