//! What the metrics tell of a queue: how much waits, what gave way, and what went with a reader that was too slow.

use super::{
    Outbox,
    item::Item,
    queue::{Queue, Slot},
};
use osbackend_protocol::CloseCode;

/// A queue at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLook {
    /// Queued bytes of events and answers now.
    pub bytes: usize,
    /// Events that gave way to newer ones so far.
    pub conflated: u64,
    /// Messages that were dropped because the reader was too slow.
    pub dropped: u64,
}

impl Outbox {
    /// What the metrics tell of it, looked at once.
    pub fn look(&self) -> QueueLook {
        let queue = &self.inner.lock().queue;
        QueueLook { bytes: queue.events + queue.answers, conflated: queue.conflated, dropped: queue.dropped }
    }
}

impl Queue {
    /// Counts what is queued as dropped, where it is because the reader was too slow.
    pub(super) fn drop_for_slowness(&mut self) {
        if self.close == Some(CloseCode::SlowConsumer) {
            let messages = |slot: &Slot| match slot {
                Slot::Item(Item::Run(run)) => run.events.len() as u64,
                Slot::Replay(replay) => replay.len() as u64,
                Slot::Item(Item::Text(_) | Item::Binary(_) | Item::Event(_)) => 1,
                Slot::Item(Item::Ping) | Slot::Gone { .. } | Slot::Reserved => 0,
            };
            self.dropped += self.slots.iter().map(messages).sum::<u64>();
        }
    }
}
