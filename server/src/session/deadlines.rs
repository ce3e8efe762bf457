//! One table of deadlines drives every timer of a session.

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Timer {
    /// `connect` has to come (§1).
    Handshake,
    /// The client has to authenticate (§1).
    Authenticate,
    /// The next ping (§8).
    Ping,
    /// The client has heard nothing for a whole interval (§8).
    Heartbeat,
    /// Bytes have to come (§8).
    Pong,
    /// `token_expiring` is due (§4).
    TokenWarning,
    /// The token ran out and was not refreshed (§4).
    TokenExpired,
    /// This client's slot of the drain (§4).
    Drain,
    /// The client's resume token grows old (§4).
    Resume,
}

const TIMERS: [Timer; 9] = [
    Timer::Handshake,
    Timer::Authenticate,
    Timer::Ping,
    Timer::Heartbeat,
    Timer::Pong,
    Timer::TokenWarning,
    Timer::TokenExpired,
    Timer::Drain,
    Timer::Resume,
];

/// When each timer is due, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Deadlines([Option<u64>; TIMERS.len()]);

impl Deadlines {
    pub(super) fn set(&mut self, timer: Timer, at: u64) {
        self.0[timer as usize] = Some(at);
    }

    /// Sets it unless it runs already.
    pub(super) fn start(&mut self, timer: Timer, at: u64) {
        self.0[timer as usize].get_or_insert(at);
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(super) fn stop_all(&mut self) {
        *self = Self::default();
    }

    /// The earliest.
    pub(super) fn next(&self) -> Option<u64> {
        self.0.iter().flatten().min().copied()
    }

    /// Stops and returns a timer that is due.
    pub(super) fn take_due(&mut self, now: u64) -> Option<Timer> {
        let timer = TIMERS.into_iter().filter(|timer| self.0[*timer as usize].is_some_and(|at| at <= now));
        let timer = timer.min_by_key(|timer| self.0[*timer as usize])?;
        self.stop(timer);
        Some(timer)
    }
}
