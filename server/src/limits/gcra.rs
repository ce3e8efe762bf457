//! Rates with a burst, by the generic cell rate algorithm (GCRA): one number of state, exact at any time.
//!
//! The number is the *theoretical arrival time* of the next unit, were all to come evenly. It lies at most a burst ahead
//! of now; each unit moves it on by `1 / rate`. Nothing has to be filled up as time passes, and an idle connection holds
//! eight bytes for each of its limits.

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

/// So many units a second, so many at once. Shared by all connections; the state of each is a [`Gcra`].
///
/// ```
/// use osbackend_server::limits::{Gcra, Quota};
/// let (quota, mut limit) = (Quota::new(Some(2), 2), Gcra::default());
/// assert!(limit.take(&quota, 0).is_ok() && limit.take(&quota, 0).is_ok());
/// assert_eq!(limit.take(&quota, 0), Err(500)); // milliseconds until there is one again
/// assert!(limit.take(&quota, 500).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Units a second; 0: no limit.
    rate: u64,
    /// How far the arrival time may lie ahead, in nanoseconds.
    burst_ns: u64,
}

impl Quota {
    /// `rate` units a second (`None` or 0 never refuses) and `burst` at once (less than 1 counts as 1).
    pub fn new(rate: Option<u32>, burst: u32) -> Self {
        let (rate, burst) = (u64::from(rate.unwrap_or(0)), u64::from(burst.max(1)));
        // A nanosecond for each: what rounding up the single costs adds, so that the burst is not one short.
        let burst_ns = ns_of(burst, rate.max(1)).saturating_add(burst);
        Self { rate, burst_ns }
    }

    /// Whether it never refuses.
    pub fn is_lifted(&self) -> bool {
        self.rate == 0
    }
}

fn ns_of(units: u64, rate: u64) -> u64 {
    units.saturating_mul(NS_PER_S).div_ceil(rate)
}

/// How much of a [`Quota`] one client has used. The default has used nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gcra {
    /// The theoretical arrival time, in nanoseconds since 1970.
    arrival_ns: u64,
}

/// What a client that was charged for more than its quota is to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdrawn {
    /// When it has paid back what is over the burst, in milliseconds from now.
    pub retry_after_ms: u64,
    /// It owes another whole burst.
    pub beyond_repair: bool,
}

impl Gcra {
    /// Takes one, unless there is none.
    ///
    /// # Errors
    /// There is none, and nothing was taken; in so many milliseconds there will be (`retryAfterMs`, §4).
    pub fn take(&mut self, quota: &Quota, now_ms: u64) -> Result<(), u64> {
        self.take_many(quota, 1, now_ms)
    }

    /// Takes `units` at once, unless there are not so many: more than the burst there never are.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_many(&mut self, quota: &Quota, units: u64, now_ms: u64) -> Result<(), u64> {
        let Some((arrival_ns, over_ns)) = self.after(quota, units, now_ms) else { return Ok(()) };
        if over_ns > 0 {
            return Err(over_ns.div_ceil(NS_PER_MS));
        }
        self.arrival_ns = arrival_ns;
        Ok(())
    }

    /// Whether something of the quota is used now: without that it is as good as a new one.
    pub fn is_in_use(&self, now_ms: u64) -> bool {
        self.arrival_ns > now_ms.saturating_mul(NS_PER_MS)
    }

    /// How long until `units` more can be taken, in milliseconds; 0: now. Nothing is taken.
    pub fn wait(&self, quota: &Quota, units: u64, now_ms: u64) -> u64 {
        self.after(quota, units, now_ms).map_or(0, |(_, over_ns)| over_ns.div_ceil(NS_PER_MS))
    }

    /// Charges for `units` that have come already, whether the quota allows them or not.
    ///
    /// # Errors
    /// The quota is overdrawn.
    pub fn charge(&mut self, quota: &Quota, units: u64, now_ms: u64) -> Result<(), Overdrawn> {
        let Some((arrival_ns, over_ns)) = self.after(quota, units, now_ms) else { return Ok(()) };
        self.arrival_ns = arrival_ns;
        if over_ns == 0 {
            return Ok(());
        }
        Err(Overdrawn { retry_after_ms: over_ns.div_ceil(NS_PER_MS), beyond_repair: over_ns > quota.burst_ns })
    }

    /// The arrival time with `units` more, and how far over the burst it is; `None` where there is no limit.
    fn after(&self, quota: &Quota, units: u64, now_ms: u64) -> Option<(u64, u64)> {
        if quota.is_lifted() {
            return None;
        }
        let now_ns = now_ms.saturating_mul(NS_PER_MS);
        let arrival_ns = self.arrival_ns.max(now_ns).saturating_add(ns_of(units, quota.rate));
        Some((arrival_ns, arrival_ns.saturating_sub(now_ns).saturating_sub(quota.burst_ns)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn it_gives_its_burst_and_then_its_rate() {
        let (quota, mut limit) = (Quota::new(Some(10), 3), Gcra::default());
        assert_eq!([0, 0, 0].map(|_| limit.take(&quota, NOW)), [Ok(()); 3]);
        assert_eq!(limit.take(&quota, NOW), Err(100));
        assert_eq!(limit.take(&quota, NOW + 60), Err(40));
        assert_eq!(limit.take(&quota, NOW + 100), Ok(()));
        assert!(limit.take(&quota, NOW).is_err(), "a clock that goes back gives nothing");
        let after_long = [0; 4].map(|_| limit.take(&quota, NOW + 1_000_000).is_ok());
        assert_eq!(after_long, [true, true, true, false], "never more than the burst");
    }

    #[test]
    fn a_look_tells_the_wait_and_takes_nothing() {
        let (quota, mut limit) = (Quota::new(Some(10), 2), Gcra::default());
        assert_eq!([1, 2, 3, 4].map(|units| limit.wait(&quota, units, NOW)), [0, 0, 100, 200]);
        assert!(!limit.is_in_use(NOW) && limit.take(&quota, NOW).is_ok() && limit.take(&quota, NOW).is_ok());
        assert_eq!((limit.wait(&quota, 1, NOW), limit.wait(&quota, 1, NOW + 60), limit.wait(&quota, 1, NOW + 100)), (100, 40, 0));
        assert!(limit.is_in_use(NOW + 199) && !limit.is_in_use(NOW + 200));
        assert_eq!(limit.wait(&Quota::new(None, 1), 1, NOW), 0);
    }

    #[test]
    fn without_a_rate_nothing_is_refused() {
        for rate in [None, Some(0)] {
            let (quota, mut limit) = (Quota::new(rate, 1), Gcra::default());
            assert!((0..1000).all(|_| limit.take(&quota, NOW).is_ok()));
            assert_eq!(limit.charge(&quota, u64::MAX, NOW), Ok(()));
        }
    }

    /// Against the definition: in no stretch of time more than `burst + rate * length`, and no less than is due.
    #[test]
    fn over_any_stretch_it_gives_the_burst_and_the_rate_and_no_more() {
        for (rate, burst) in [(1, 1), (3, 7), (7, 3), (50, 100), (997, 13), (1_000_000, 5)] {
            let (quota, mut limit) = (Quota::new(Some(rate), burst), Gcra::default());
            let mut given = 0_u64;
            for ms in 0..2_000_u64 {
                // Asked for more than there is, at every millisecond.
                while limit.take(&quota, NOW + ms).is_ok() {
                    given += 1;
                }
                let due = u64::from(burst) + u64::from(rate) * ms / 1000;
                // Costs are rounded up to whole nanoseconds: a unit may come one question later.
                let least = if rate > 1000 { 0 } else { due - 1 };
                assert!(given >= least && given <= due, "{rate}/s, burst {burst}: {given} after {ms} ms instead of {due}");
            }
        }
    }

    #[test]
    fn what_is_charged_over_the_burst_is_owed() {
        let (quota, mut limit) = (Quota::new(Some(1000), 4000), Gcra::default());
        assert_eq!(limit.charge(&quota, 4000, NOW), Ok(()));
        assert_eq!(limit.charge(&quota, 500, NOW), Err(Overdrawn { retry_after_ms: 500, beyond_repair: false }));
        assert_eq!(limit.charge(&quota, 0, NOW + 500), Ok(()), "paid back");
        let all = limit.charge(&quota, 4001, NOW + 500);
        assert_eq!(all, Err(Overdrawn { retry_after_ms: 4001, beyond_repair: true }));
        assert!(limit.charge(&quota, u64::MAX, NOW).is_err(), "and never overflows");
    }
}
