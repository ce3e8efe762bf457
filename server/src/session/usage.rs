//! What a client has used of its rates (§10), and what it hears when that is too much.

use super::{Session, State, deadlines::Timer};
use crate::limits::Gcra;
use osbackend_protocol::{CloseCode, ErrorBody, ErrorCode, RequestId};

/// Bytes that came from the network, and the frames in them that no one else hears of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// All bytes, headers of frames included.
    pub bytes: u64,
    /// Frames that end no text message: pings, pongs, fragments before the last, and what is none of the protocol's.
    pub frames: u32,
}

/// State of the limits on one connection.
#[derive(Debug, Default)]
pub(super) struct Usage {
    messages: Gcra,
    refusals: Gcra,
    bytes: Gcra,
    pub(super) joins: Gcra,
    /// Until when messages are refused because of the bytes that came.
    bytes_until: u64,
}

impl Session {
    /// Bytes came: the client lives (§8), and is charged for them. To be told before the message that they end.
    pub fn on_traffic(&mut self, traffic: Traffic, now: u64) {
        if matches!(self.state, State::Closed) {
            return;
        }
        self.deadlines.stop(Timer::Pong);
        if let Err(overdrawn) = self.usage.bytes.charge(&self.settings.bytes, traffic.bytes, now) {
            self.usage.bytes_until = now + overdrawn.retry_after_ms;
            if overdrawn.beyond_repair {
                return self.flooded(overdrawn.retry_after_ms, now);
            }
        }
        // There is nothing to answer such a frame with; but it counts, or a flood of them would be free.
        for _ in 0..traffic.frames {
            if let Err(retry_after_ms) = self.allow_message(now)
                && self.usage.refusals.take(&self.settings.refusals, now).is_err()
            {
                return self.flooded(retry_after_ms, now);
            }
        }
    }

    /// Takes one message from the quota.
    ///
    /// # Errors
    /// There is none; in so many milliseconds there will be.
    pub(super) fn allow_message(&mut self, now: u64) -> Result<(), u64> {
        match self.usage.bytes_until.checked_sub(now) {
            Some(wait @ 1..) => Err(wait),
            _ => self.usage.messages.take(&self.settings.messages, now),
        }
    }

    /// A message was over a rate. A client that is told and goes on all the same for another whole burst is not worth the
    /// answers.
    pub(super) fn over_rate(&mut self, id: Option<RequestId>, retry_after_ms: u64, now: u64) {
        let goes_on = self.usage.refusals.take(&self.settings.refusals, now).is_err();
        let mut error = ErrorBody::new(ErrorCode::RateLimited, "too many messages or bytes: slow down");
        error.retry_after_ms = Some(retry_after_ms);
        self.send_error(id, error, now);
        if goes_on {
            self.close(CloseCode::RateLimited);
        }
    }

    fn flooded(&mut self, retry_after_ms: u64, now: u64) {
        let mut error = ErrorBody::new(ErrorCode::RateLimited, "too many frames or bytes: slow down");
        error.retry_after_ms = Some(retry_after_ms);
        self.send_error(None, error, now);
        self.close(CloseCode::RateLimited);
    }
}
