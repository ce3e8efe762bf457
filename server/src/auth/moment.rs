//! One instant on both clocks that checks of tokens need, so that a caller can name it.

use std::time::{Duration, Instant};

/// When something is checked.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Seconds since 1970, for `exp` and `nbf`.
    pub(super) unix_seconds: u64,
    /// A clock that never jumps, for the age of what is cached.
    pub(super) instant: Instant,
}

impl Moment {
    /// What the system's clocks say.
    pub fn now() -> Self {
        Self { unix_seconds: jsonwebtoken::get_current_timestamp(), instant: Instant::now() }
    }

    /// This long after it, on both clocks.
    #[must_use]
    pub fn later(self, time: Duration) -> Self {
        Self { unix_seconds: self.unix_seconds + time.as_secs(), instant: self.instant + time }
    }

    /// Whether `then` was less than `time` ago.
    pub(super) fn within(self, time: Duration, then: Option<Instant>) -> bool {
        then.is_some_and(|then| self.instant.saturating_duration_since(then) < time)
    }
}
