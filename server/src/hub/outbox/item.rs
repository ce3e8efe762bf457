//! One entry of a connection's queue: a message, a room's event, or events that were published together.

use super::Run;
use crate::hub::event::StoredEvent;
use bytes::Bytes;
use std::sync::Arc;
use tungstenite::Utf8Bytes;

/// What a queued message costs beside its text.
pub(super) const ITEM_BYTES: usize = 48;

/// One thing to write.
#[derive(Clone, Debug)]
pub enum Item {
    /// A message for this connection alone.
    Text(Utf8Bytes),
    /// A binary message (the echo example only: the protocol has none).
    Binary(Bytes),
    /// An event of a room.
    Event(QueuedEvent),
    /// Events of a room that were published together.
    Run(Arc<Run>),
    /// A WebSocket ping.
    Ping,
}

/// A room's event on its way to one connection.
#[derive(Clone, Debug)]
pub struct QueuedEvent {
    /// The event, shared with the history and with all other members.
    pub event: Arc<StoredEvent>,
    /// Events of the room that were conflated since the previous one delivered.
    pub skipped: u64,
    /// Whether it is part of a snapshot.
    pub snapshot: bool,
    /// The queue's generation when it was queued: a seal of its room closes all generations up to then.
    pub(super) generation: u32,
}

impl QueuedEvent {
    /// A live event.
    pub fn live(event: Arc<StoredEvent>) -> Self {
        Self { event, skipped: 0, snapshot: false, generation: 0 }
    }

    /// An event of a replay or a snapshot.
    pub fn replayed(event: Arc<StoredEvent>, snapshot: bool) -> Self {
        Self { event, skipped: 0, snapshot, generation: 0 }
    }

    /// The message's text.
    pub fn text(&self) -> Utf8Bytes {
        if self.skipped == 0 && !self.snapshot {
            return self.event.text.clone();
        }
        let mut text = String::with_capacity(self.event.text.len() + 32);
        self.write_text(&mut text);
        text.into()
    }

    /// Appends the message's text.
    pub fn write_text(&self, out: &mut String) {
        use std::fmt::Write as _;
        let text = self.event.text.as_str();
        if self.skipped == 0 && !self.snapshot {
            out.push_str(text);
            return;
        }
        out.push_str(text.strip_suffix('}').unwrap_or(text));
        if self.snapshot {
            out.push_str(",\"snapshot\":true");
        }
        if self.skipped > 0 {
            let _ = write!(out, ",\"skipped\":{}", self.skipped);
        }
        out.push('}');
    }
}

impl Item {
    /// What it takes of the queue's bound.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Run(run) => run.bytes(),
            Self::Text(text) => ITEM_BYTES + text.len(),
            Self::Binary(data) => ITEM_BYTES + data.len(),
            Self::Event(event) => ITEM_BYTES + event.event.text.len(),
            Self::Ping => ITEM_BYTES,
        }
    }

    /// Whether it is of a room's stream; the others are answers, and messages of the system.
    pub(super) fn is_event(&self) -> bool {
        matches!(self, Self::Event(_) | Self::Run(_))
    }
}
