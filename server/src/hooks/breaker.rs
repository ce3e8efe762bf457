//! The circuit breaker: a backend that fails again and again is left alone for a while, and then tried with one request.
//!
//! A machine without a clock: times come from outside, in milliseconds.

use parking_lot::Mutex;

/// Failures in a row that open it.
pub(super) const FAILURES: u32 = 5;
/// So many users must have had some of them: one whose messages make the backend fail shuts it off for nobody else.
pub(super) const USERS: usize = 3;

/// Whose failure it was.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure<'a> {
    /// Nobody was there to ask: it is nobody's.
    OfBackend,
    /// What this user asked failed.
    Of(&'a str),
}

#[derive(Debug)]
enum State {
    /// Everything passes; what failed in a row.
    Closed(Row),
    /// Nothing passes until then.
    Open { until_ms: u64 },
    /// One request is on its way to find out; until this time no other one is.
    Probing { until_ms: u64 },
}

/// Failures in a row.
#[derive(Debug, Default)]
struct Row {
    failures: u32,
    /// Those of them that are nobody's.
    of_backend: u32,
    /// Who had the others; no more than are needed.
    users: Vec<String>,
}

impl Row {
    fn add(&mut self, failure: Failure<'_>) {
        self.failures += 1;
        match failure {
            Failure::OfBackend => self.of_backend += 1,
            Failure::Of(user) if self.users.len() < USERS && self.users.iter().all(|known| known != user) => {
                self.users.push(user.to_owned());
            }
            Failure::Of(_) => {}
        }
    }

    fn is_enough(&self) -> bool {
        self.of_backend >= FAILURES || self.failures >= FAILURES && self.users.len() >= USERS
    }
}

/// Of one kind of requests.
#[derive(Debug)]
pub(super) struct Breaker {
    open_ms: u64,
    state: Mutex<State>,
}

impl Breaker {
    /// Stays open for `open_ms`.
    pub(super) fn new(open_ms: u64) -> Self {
        Self { open_ms, state: Mutex::new(State::Closed(Row::default())) }
    }

    /// Whether a request may be made; else in how many milliseconds to ask again.
    pub(super) fn pass(&self, now_ms: u64) -> Result<(), u64> {
        let mut state = self.state.lock();
        match *state {
            State::Closed(_) => Ok(()),
            State::Open { until_ms } | State::Probing { until_ms } if now_ms < until_ms => Err(until_ms - now_ms),
            // A probe that never tells its outcome is given up after the same time.
            State::Open { .. } | State::Probing { .. } => {
                *state = State::Probing { until_ms: now_ms + self.open_ms };
                Ok(())
            }
        }
    }

    /// A request succeeded.
    pub(super) fn succeeded(&self) {
        *self.state.lock() = State::Closed(Row::default());
    }

    /// A request failed; whether that opened it.
    pub(super) fn failed(&self, failure: Failure<'_>, now_ms: u64) -> bool {
        let mut state = self.state.lock();
        let opens = match &mut *state {
            State::Closed(row) => {
                row.add(failure);
                row.is_enough()
            }
            State::Probing { .. } => true,
            // From before it opened: tells nothing new.
            State::Open { .. } => false,
        };
        if opens {
            *state = State::Open { until_ms: now_ms + self.open_ms };
        }
        opens
    }

    /// Whether requests are refused now.
    pub(super) fn is_open(&self) -> bool {
        !matches!(*self.state.lock(), State::Closed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Failure::{Of, OfBackend},
        *,
    };

    fn opened() -> Breaker {
        let breaker = Breaker::new(1_000);
        (1..FAILURES).for_each(|_| assert!(!breaker.failed(OfBackend, 0)));
        assert_eq!(breaker.pass(0), Ok(()));
        assert!(breaker.failed(OfBackend, 0));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_for_its_time() {
        let breaker = opened();
        assert!(breaker.is_open());
        assert_eq!((breaker.pass(1), breaker.pass(999)), (Err(999), Err(1)));
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let breaker = Breaker::new(1_000);
        for _ in 0..20 {
            assert!(!breaker.failed(OfBackend, 0));
            breaker.succeeded();
        }
        assert_eq!(breaker.pass(0), Ok(()));
    }

    #[test]
    fn one_probe_decides() {
        let breaker = opened();
        assert_eq!(breaker.pass(1_000), Ok(()));
        assert_eq!(breaker.pass(1_000), Err(1_000), "only one");
        assert!(breaker.failed(OfBackend, 1_010));
        assert_eq!(breaker.pass(1_011), Err(999));
        assert_eq!(breaker.pass(2_010), Ok(()));
        breaker.succeeded();
        assert!(!breaker.is_open() && breaker.pass(2_010).is_ok() && breaker.pass(2_010).is_ok());
        assert!(!breaker.failed(OfBackend, 2_011), "it counts from the beginning again");
    }

    #[test]
    fn a_probe_without_outcome_is_not_waited_for_for_ever() {
        let breaker = opened();
        assert_eq!(breaker.pass(1_000), Ok(()));
        assert_eq!(breaker.pass(2_000), Ok(()));
    }

    #[test]
    fn a_failure_from_before_it_opened_does_not_prolong_it() {
        let breaker = opened();
        assert!(!breaker.failed(OfBackend, 900));
        assert_eq!(breaker.pass(1_000), Ok(()));
    }

    #[test]
    fn one_user_opens_it_for_nobody_and_three_do() {
        let breaker = Breaker::new(1_000);
        (0..100).for_each(|n| assert!(!breaker.failed(Of(["eve", "mallory"][n % 2]), 0)));
        assert!(breaker.pass(0).is_ok());
        assert!(breaker.failed(Of("ada"), 0) && breaker.is_open(), "of three, it is the backend");

        let breaker = Breaker::new(1_000);
        (0..100).for_each(|_| assert!(!breaker.failed(Of("eve"), 0)));
        breaker.succeeded();
        assert!(!breaker.failed(Of("ada"), 0) && !breaker.failed(Of("bob"), 0) && !breaker.failed(Of("cy"), 0), "five in a row");
        assert!(!breaker.failed(OfBackend, 0) && breaker.failed(OfBackend, 0));
    }
}
