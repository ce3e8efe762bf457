//! The queue itself, pure: order, bounds, and events that give way to newer ones (§5). It knows of no lock and no waker.

use super::{
    Taken,
    item::{ITEM_BYTES, Item},
};
use crate::hub::event::StoredEvent;
use osbackend_protocol::CloseCode;
use std::collections::{HashMap, VecDeque};

/// Queued bytes from which on older `latest` events give way: below it the reader is not behind, and a look-up per
/// event would cost the common case.
const CONFLATE_FROM_BYTES: usize = 32 * 1024;
/// The writer takes about this many bytes at once from a long queue; the rest stays where it can be conflated.
const TAKE_BYTES: usize = 64 * 1024;

/// Events of replays and snapshots that may wait for one connection: what 100 rooms hold, three times over, some 16 MiB of
/// pointers. More are only asked for by who joins again and again and doesn't read.
pub(super) const MAX_REPLAYS: usize = 350_000;

/// A place in the queue.
#[derive(Debug)]
pub(super) enum Slot {
    Item(Item),
    /// A conflated event was here; its room's next event tells how many.
    Gone {
        room: u64,
        skipped: u64,
    },
    /// The greeting goes here once it is known what became of its rooms.
    Reserved,
}

#[derive(Default)]
pub(super) struct Queue {
    pub(super) slots: VecDeque<Slot>,
    pub(super) bytes: usize,
    /// Queued events of replays and snapshots, which `bytes` leaves out.
    replays: usize,
    /// How many slots were taken before the first that is queued: `place - base` is an index.
    base: u64,
    gone: usize,
    /// Conflation key to place, for the queued `latest` events; only kept while the queue is long.
    latest: HashMap<u64, u64>,
    indexed: bool,
    pub(super) close: Option<CloseCode>,
    closed: bool,
    pub(super) conflated: u64,
    pub(super) dropped: u64,
}

impl Queue {
    /// Queues a message. A queue that is over `limit` afterwards ends the connection.
    pub(super) fn push(&mut self, item: Item, limit: usize) {
        match item {
            // Where events may have to give way or tell of others that did, each is an entry of its own.
            Item::Run(run) if self.bytes >= CONFLATE_FROM_BYTES || self.gone > 0 => {
                run.singles().for_each(|event| self.add(Item::Event(event)));
            }
            item => self.add(item),
        }
        if self.bytes > limit || (self.replays > MAX_REPLAYS && limit < usize::MAX) {
            self.compact();
            self.close = Some(CloseCode::SlowConsumer);
        }
    }

    /// Puts a message in the reserved place; whether there was one.
    pub(super) fn fill(&mut self, item: Item) -> bool {
        let bytes = item.bytes();
        let Some(slot) = self.slots.iter_mut().find(|slot| matches!(slot, Slot::Reserved)) else { return false };
        *slot = Slot::Item(item);
        self.bytes += bytes;
        true
    }

    /// What is queued of `room` is delivered as it is.
    pub(super) fn seal(&mut self, room: u64) {
        self.take_apart(room);
        for slot in &mut self.slots {
            if let Slot::Item(Item::Event(event)) = slot
                && event.event.room_id == room
            {
                event.sealed = true;
            }
        }
    }

    /// Takes what is queued: all of a short queue, the first part of a long one.
    pub(super) fn take(&mut self) -> Taken {
        let mut taken = Taken::default();
        if self.close == Some(CloseCode::SlowConsumer) {
            // The reader doesn't read: what is queued is not worth the wait. It recovers when it comes back.
            self.drop_for_slowness();
            self.slots.clear();
            (self.bytes, self.replays) = (0, 0);
        }
        self.take_into(&mut taken.items);
        if self.slots.is_empty() {
            taken.close = self.close;
        }
        taken
    }

    /// Drops everything: nothing will be taken any more.
    pub(super) fn abandon(&mut self) {
        self.drop_for_slowness();
        self.closed = true;
        self.slots = VecDeque::new();
        self.latest = HashMap::new();
        (self.bytes, self.replays) = (0, 0);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.closed || self.close.is_some()
    }

    pub(super) fn has_work(&self) -> bool {
        match self.slots.front() {
            Some(Slot::Reserved) => false,
            Some(_) => true,
            None => self.close.is_some(),
        }
    }

    fn add(&mut self, item: Item) {
        if let Item::Event(event) = &item
            && self.bytes >= CONFLATE_FROM_BYTES
        {
            self.conflate(&event.event);
        }
        self.append(item);
    }

    fn append(&mut self, item: Item) {
        self.bytes += item.bytes();
        self.replays += usize::from(item.is_replay());
        if self.indexed
            && let Item::Event(event) = &item
            && let Some(key) = event.event.conflation
        {
            self.latest.insert(key, self.base + self.slots.len() as u64);
        }
        self.slots.push_back(Slot::Item(item));
    }

    /// Takes the queued event that `newer` replaces, if there is one, out of the queue.
    fn conflate(&mut self, newer: &StoredEvent) {
        let Some(key) = newer.conflation else { return };
        if !self.indexed {
            self.index();
        }
        let Some(place) = self.latest.get(&key).copied() else { return };
        let Some(slot) = place.checked_sub(self.base).and_then(|index| self.slots.get_mut(index as usize)) else { return };
        let Slot::Item(Item::Event(older)) = slot else { return };
        // A hash can collide; an event of another key must never be lost for it. Snapshots and replays promise each event.
        if !older.event.same_key(newer) || !older.counted || older.sealed {
            return;
        }
        let (room, skipped) = (older.event.room_id, older.skipped + 1);
        let freed = ITEM_BYTES + older.event.text.len();
        *slot = Slot::Gone { room, skipped };
        self.bytes = self.bytes.saturating_sub(freed);
        self.gone += 1;
        self.conflated += 1;
        if self.gone > 64 && self.gone * 2 > self.slots.len() {
            self.compact();
        }
    }

    /// Makes an entry of each event of the room's runs.
    fn take_apart(&mut self, room: u64) {
        let of_room = |slot: &Slot| matches!(slot, Slot::Item(Item::Run(run)) if run.room_id() == Some(room));
        if !self.slots.iter().any(of_room) {
            return;
        }
        for slot in std::mem::take(&mut self.slots) {
            match slot {
                Slot::Item(Item::Run(run)) if run.room_id() == Some(room) => {
                    self.slots.extend(run.singles().map(|event| Slot::Item(Item::Event(event))));
                }
                other => self.slots.push_back(other),
            }
        }
        if self.indexed {
            self.index();
        }
    }

    fn index(&mut self) {
        self.latest.clear();
        for (index, slot) in self.slots.iter().enumerate() {
            if let Slot::Item(Item::Event(event)) = slot
                && let Some(key) = event.event.conflation
            {
                self.latest.insert(key, self.base + index as u64);
            }
        }
        self.indexed = true;
    }

    /// Removes the gaps that conflation left: each room's next event takes over the count. What has no next event yet stays,
    /// one gap a room.
    fn compact(&mut self) {
        if self.gone == 0 {
            return;
        }
        let mut carried: HashMap<u64, u64> = HashMap::new();
        let old = std::mem::take(&mut self.slots);
        let mut kept = VecDeque::with_capacity(old.len() - self.gone + 8);
        for slot in old {
            match slot {
                Slot::Gone { room, skipped } => *carried.entry(room).or_default() += skipped,
                Slot::Item(Item::Event(mut event)) => {
                    // A replay or snapshot follows a `room_joined`, which sets the client's position anew.
                    if let Some(skipped) = carried.remove(&event.event.room_id)
                        && event.counted
                    {
                        event.skipped += skipped;
                    }
                    kept.push_back(Slot::Item(Item::Event(event)));
                }
                Slot::Item(Item::Run(run)) if run.room_id().is_some_and(|room| carried.contains_key(&room)) => {
                    kept.extend(run.singles().map(|mut event| {
                        event.skipped += carried.remove(&event.event.room_id).unwrap_or(0);
                        Slot::Item(Item::Event(event))
                    }));
                }
                other => kept.push_back(other),
            }
        }
        self.gone = carried.len();
        kept.extend(carried.into_iter().map(|(room, skipped)| Slot::Gone { room, skipped }));
        self.slots = kept;
        self.index();
    }

    fn take_into(&mut self, out: &mut Vec<Item>) {
        if self.gone > 0 {
            self.compact();
        }
        let mut budget = TAKE_BYTES;
        out.reserve(self.slots.len().min(256));
        while let Some(slot) = self.slots.front() {
            match slot {
                Slot::Item(item) => {
                    let bytes = item.bytes();
                    let text = match item {
                        Item::Event(event) => event.event.text.len(),
                        Item::Run(run) => run.frame_bytes(),
                        _ => 0,
                    };
                    // A replay isn't counted, but is as long on the wire.
                    if !out.is_empty() && budget < bytes.max(text) {
                        break;
                    }
                    budget = budget.saturating_sub(bytes.max(text));
                    self.bytes = self.bytes.saturating_sub(bytes);
                    self.replays -= usize::from(item.is_replay());
                    if let Some(Slot::Item(item)) = self.slots.pop_front() {
                        out.push(item);
                    }
                }
                // After `compact` only at the end of the queue: the room's next event is yet to come.
                Slot::Gone { .. } | Slot::Reserved => break,
            }
            self.base += 1;
        }
        if self.slots.is_empty() {
            self.latest.clear();
            self.indexed = false;
        }
    }
}
