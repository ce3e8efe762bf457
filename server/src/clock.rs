//! The one clock that the server reads: milliseconds since 1970 that never go back while the process lives.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The system's clock at the start, and the time that passed since.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base_ms: u64,
    base: Instant,
}

impl Clock {
    /// Reads the system's clock.
    pub fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { base_ms: u64::try_from(since_1970.as_millis()).unwrap_or_default(), base: Instant::now() }
    }

    /// Now.
    pub fn now_ms(&self) -> u64 {
        self.base_ms + u64::try_from(self.base.elapsed().as_millis()).unwrap_or_default()
    }

    /// The instant at which this clock shows `at_ms`.
    pub fn instant(&self, at_ms: u64) -> Instant {
        self.base + std::time::Duration::from_millis(at_ms.saturating_sub(self.base_ms))
    }
}
