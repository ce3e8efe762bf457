//! Events of one room that were published together: one entry in each member's queue, one frame made once for all members.

use super::item::{ITEM_BYTES, Item, QueuedEvent};
use crate::hub::event::StoredEvent;
use std::sync::{Arc, OnceLock};
use tungstenite::Utf8Bytes;

/// Texts of one run at most, in bytes: half of what a frame may hold, so that other messages fit beside it.
const RUN_BYTES: usize = 32 * 1024;

/// Two or more events of one room, in a row.
#[derive(Debug)]
pub struct Run {
    /// In order.
    pub events: Vec<Arc<StoredEvent>>,
    /// The JSON array of them (§7), made by the first connection that needs it.
    frame: OnceLock<Utf8Bytes>,
    text_bytes: usize,
}

impl Run {
    /// `events`, all of one room, as what is queued for each member.
    pub fn items(events: Vec<Arc<StoredEvent>>) -> Vec<Item> {
        let mut items = Vec::new();
        let mut run = Vec::with_capacity(events.len());
        let mut text_bytes = 0;
        for event in events {
            if !run.is_empty() && text_bytes + event.text.len() > RUN_BYTES {
                items.push(Self::item(std::mem::take(&mut run), text_bytes));
                text_bytes = 0;
            }
            text_bytes += event.text.len();
            run.push(event);
        }
        if !run.is_empty() {
            items.push(Self::item(run, text_bytes));
        }
        items
    }

    fn item(mut events: Vec<Arc<StoredEvent>>, text_bytes: usize) -> Item {
        match events.len() {
            1 => Item::Event(QueuedEvent::live(events.remove(0))),
            _ => Item::Run(Arc::new(Self { events, frame: OnceLock::new(), text_bytes })),
        }
    }

    /// The events as one JSON array.
    pub fn frame(&self) -> &Utf8Bytes {
        self.frame.get_or_init(|| {
            let mut frame = String::with_capacity(self.frame_bytes());
            for event in &self.events {
                frame.push(if frame.is_empty() { '[' } else { ',' });
                frame.push_str(&event.text);
            }
            frame.push(']');
            frame.into()
        })
    }

    /// Length of [`Self::frame`].
    pub fn frame_bytes(&self) -> usize {
        self.text_bytes + self.events.len() + 1
    }

    /// What the run takes of a queue's bound: as much as its events one by one.
    pub(super) fn bytes(&self) -> usize {
        self.text_bytes + self.events.len() * ITEM_BYTES
    }

    /// The events one by one, where something has to be done with single ones.
    pub(super) fn singles(&self) -> impl Iterator<Item = QueuedEvent> {
        self.events.iter().cloned().map(QueuedEvent::live)
    }

    /// The room of all events, as the hub numbers it.
    pub(super) fn room_id(&self) -> Option<u64> {
        self.events.first().map(|event| event.room_id)
    }
}
