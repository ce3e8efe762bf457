//! The one table of deadlines: everything that waits for time has a slot here, and nothing else does.

/// What a deadline is for. One slot each; setting it again moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Due {
    /// The token, the socket or the greeting should be there by now.
    Connecting,
    /// The next attempt begins.
    Retry,
    /// The server should have been heard by now (§8).
    Liveness,
    /// The slot that the draining server gave (§4 `draining`).
    Drain,
    /// Ask for the refreshed token again.
    Refresh,
    /// The earliest request to time out.
    Requests,
    /// The earliest join or leave to be asked again.
    Joins,
    /// The rate limit lets the next queued message through.
    Queue,
}

const SLOTS: [Due; 8] =
    [Due::Connecting, Due::Retry, Due::Liveness, Due::Drain, Due::Refresh, Due::Requests, Due::Joins, Due::Queue];

/// A time, in milliseconds, for each [`Due`].
#[derive(Debug, Default)]
pub(crate) struct Deadlines([Option<u64>; SLOTS.len()]);

impl Deadlines {
    pub(crate) fn set(&mut self, due: Due, at: u64) {
        self.0[due as usize] = Some(at);
    }

    pub(crate) fn put(&mut self, due: Due, at: Option<u64>) {
        self.0[due as usize] = at;
    }

    pub(crate) fn clear(&mut self, due: Due) {
        self.0[due as usize] = None;
    }

    /// The earliest of all.
    pub(crate) fn next(&self) -> Option<u64> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes out one that has passed at `now`.
    pub(crate) fn expired(&mut self, now: u64) -> Option<Due> {
        let due = SLOTS.into_iter().find(|due| self.0[*due as usize].is_some_and(|at| at <= now))?;
        self.clear(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_is_its_own_index() {
        for (index, due) in SLOTS.into_iter().enumerate() {
            assert_eq!(due as usize, index);
        }
    }

    #[test]
    fn what_passed_is_taken_out_once() {
        let mut table = Deadlines::default();
        table.set(Due::Retry, 50);
        table.set(Due::Liveness, 40);
        table.set(Due::Liveness, 60);
        assert_eq!(table.next(), Some(50));
        assert_eq!(table.expired(49), None);
        assert_eq!(table.expired(50), Some(Due::Retry));
        assert_eq!(table.expired(50), None);
        assert_eq!(table.next(), Some(60));
    }
}
