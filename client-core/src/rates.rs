//! How fast the client writes: a share of what the server allows this connection (§10), for everything together.

use osbackend_protocol::Limits;

/// One message or join, in the units of a [`Bucket`].
const ONE: u64 = 1_000;

/// A rate with a burst, in thousandths; `None` for a rate that is lifted.
#[derive(Debug, Default)]
struct Bucket {
    rate: u64,
    capacity: u64,
    level: u64,
    /// When `level` was true; later than now while the server wants to be left alone.
    at: u64,
}

impl Bucket {
    /// 80 % of what is allowed: what isn't counted here (heartbeats, tokens, pongs) has the rest.
    fn new(rate: u32, burst: u32, now: u64) -> Self {
        let rate = u64::from(rate) * ONE * 4 / 5;
        let capacity = (u64::from(burst) * ONE * 4 / 5).max(ONE);
        Self { rate, capacity, level: capacity, at: now }
    }

    /// Whether there is one; else when there will be.
    fn ready(&mut self, now: u64) -> Result<(), u64> {
        if self.at > now {
            return Err(self.at);
        }
        if self.rate == 0 {
            return Ok(());
        }
        let grown = (now - self.at).saturating_mul(self.rate) / 1_000;
        self.level = self.level.saturating_add(grown).min(self.capacity);
        self.at = now;
        if self.level >= ONE { Ok(()) } else { Err(now + ((ONE - self.level) * 1_000).div_ceil(self.rate).max(1)) }
    }

    fn take(&mut self) {
        self.level = self.level.saturating_sub(ONE);
    }

    /// Nothing before `until`, and no burst then: it was used up.
    fn pause(&mut self, until: u64) {
        self.level = ONE;
        self.at = self.at.max(until);
    }
}

/// What this connection may write. The default is unlimited.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    messages: Bucket,
    joins: Bucket,
}

impl Rates {
    pub(crate) fn new(limits: Limits, now: u64) -> Self {
        let joins_at_once = if limits.join_burst == 0 { limits.join_rate } else { limits.join_burst };
        Self {
            messages: Bucket::new(limits.message_rate, limits.message_burst, now),
            joins: Bucket::new(limits.join_rate, joins_at_once, now),
        }
    }

    /// Takes one message.
    ///
    /// # Errors
    /// There is none before this time.
    pub(crate) fn message(&mut self, now: u64) -> Result<(), u64> {
        self.messages.ready(now)?;
        self.messages.take();
        Ok(())
    }

    /// Takes one join, which is a message, too.
    ///
    /// # Errors
    /// There is none before this time.
    pub(crate) fn join(&mut self, now: u64) -> Result<(), u64> {
        self.joins.ready(now)?;
        self.message(now)?;
        self.joins.take();
        Ok(())
    }

    /// The server refused a message because of its rate: nothing is written before `until`.
    pub(crate) fn pause(&mut self, until: u64) {
        self.messages.pause(until);
    }

    /// The server refused a join because of its rate: no room is joined before `until`.
    pub(crate) fn pause_joins(&mut self, until: u64) {
        self.joins.pause(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many are taken at `now`, asking for 1,000.
    fn taken(mut take: impl FnMut() -> Result<(), u64>) -> usize {
        (0..1_000).take_while(|_| take().is_ok()).count()
    }

    #[test]
    fn joins_and_messages_share_one_budget() {
        let limits = Limits { message_rate: 50, message_burst: 100, join_rate: 20, join_burst: 50, ..Limits::default() };
        let mut rates = Rates::new(limits, 0);
        assert_eq!(taken(|| rates.join(0)), 40);
        assert_eq!(taken(|| rates.message(0)), 40, "joins took the others");
        assert_eq!(rates.join(0), Err(63));
        assert_eq!((taken(|| rates.join(1_000)), taken(|| rates.message(1_000))), (16, 24));
    }

    #[test]
    fn a_refusal_ends_the_burst_and_no_rate_is_no_limit_until_a_refusal() {
        let mut rates = Rates::new(Limits { message_rate: 0, join_rate: 0, ..Limits::default() }, 0);
        assert_eq!(taken(|| rates.join(0)), 1_000);
        rates.pause_joins(500);
        assert_eq!((rates.join(10), rates.message(10)), (Err(500), Ok(())));
        assert_eq!(taken(|| rates.join(500)), 1_000);
        let mut rates = Rates::new(Limits { message_rate: 10, ..Limits::default() }, 0);
        rates.pause(300);
        assert_eq!((rates.message(299), taken(|| rates.message(300))), (Err(300), 1));
    }

    #[test]
    fn a_server_that_tells_no_burst_of_joins_allows_those_of_a_second() {
        let mut rates = Rates::new(Limits { message_rate: 0, join_rate: 20, join_burst: 0, ..Limits::default() }, 0);
        assert_eq!(taken(|| rates.join(0)), 16);
    }
}
