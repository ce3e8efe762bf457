//! What one join missed, or a snapshot: one entry of the queue, from which the writer takes event by event.
//!
//! The events are shared with the room's history. Queued one by one they would cost five times as much, and as many steps
//! under the room's lock.

use super::item::ITEM_BYTES;
use crate::hub::event::StoredEvent;
use std::{
    sync::{Arc, Weak},
    vec::IntoIter,
};

/// Events of one room that a join brought about.
#[derive(Debug)]
pub(super) struct Replay {
    /// What is left of it, in order.
    events: IntoIter<Arc<StoredEvent>>,
    /// Whether it is a snapshot.
    pub(super) snapshot: bool,
    /// There until the first event is taken.
    whole: Option<Arc<()>>,
}

/// Tells whether a replay waits with all of its events.
#[derive(Debug, Default)]
pub struct ReplayMark(Weak<()>);

impl ReplayMark {
    /// Whether nothing of the replay was taken yet.
    pub fn is_whole(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Replay {
    pub(super) fn new(events: Vec<Arc<StoredEvent>>, snapshot: bool) -> Self {
        Self { events: events.into_iter(), snapshot, whole: Some(Arc::new(())) }
    }

    pub(super) fn mark(&self) -> ReplayMark {
        ReplayMark(self.whole.as_ref().map(Arc::downgrade).unwrap_or_default())
    }

    /// Bytes of an event on the queue.
    pub(super) fn cost(event: &StoredEvent) -> usize {
        ITEM_BYTES + event.text.len()
    }

    /// Bytes of all events that are left.
    pub(super) fn bytes(&self) -> usize {
        self.events.as_slice().iter().map(|event| Self::cost(event)).sum()
    }

    /// How many events are left.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// The next event, which stays.
    pub(super) fn first(&self) -> Option<&Arc<StoredEvent>> {
        self.events.as_slice().first()
    }

    /// Takes the next event.
    pub(super) fn take(&mut self) -> Option<Arc<StoredEvent>> {
        self.whole = None;
        self.events.next()
    }
}
