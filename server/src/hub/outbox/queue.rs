//! The queue itself, pure: order, bounds, and events that give way to newer ones (§5). It knows of no lock and no waker.

use super::{
    Taken,
    item::{ITEM_BYTES, Item, QueuedEvent},
    replay::{Replay, ReplayMark},
};
use crate::hub::event::StoredEvent;
use osbackend_protocol::CloseCode;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Queued bytes from which on older `latest` events give way: below it the reader is not behind, and a look-up per
/// event would cost the common case.
const CONFLATE_FROM_BYTES: usize = 32 * 1024;
/// The writer takes about this many bytes at once from a long queue; the rest stays where it can be conflated.
const TAKE_BYTES: usize = 64 * 1024;

/// Answers are held back from so many queued bytes on, or from a quarter of the bound.
const HOLD_FROM_BYTES: usize = 256 * 1024;
/// Replays and snapshots may take so many times the bound, in bytes of their events (§5): they are shared with the history.
const REPLAYS: usize = 64;
/// Rooms whose seals are remembered one by one; with more, all that is queued is sealed.
const SEALS: usize = 256;

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
    /// What a join missed.
    Replay(Box<Replay>),
}

#[derive(Default)]
pub(super) struct Queue {
    pub(super) slots: VecDeque<Slot>,
    /// Queued bytes of live events.
    pub(super) events: usize,
    /// Queued bytes of answers and of messages of the system.
    pub(super) answers: usize,
    /// Queued bytes of replays and snapshots.
    pub(super) replays: usize,
    /// How many slots were taken before the first that is queued: `place - base` is an index.
    base: u64,
    gone: usize,
    /// Conflation key to place, for the queued `latest` events; only kept while the queue is long.
    latest: HashMap<u64, u64>,
    indexed: bool,
    /// Rises with each seal; what is queued has the one of its time.
    generation: u32,
    /// Room to the newest generation of it that is sealed.
    sealed: HashMap<u64, u32>,
    /// The newest generation of which all rooms are sealed.
    all_sealed: u32,
    pub(super) close: Option<CloseCode>,
    closed: bool,
    pub(super) conflated: u64,
    pub(super) dropped: u64,
}

impl Queue {
    /// Queues a message. A queue whose events are over `limit` afterwards ends the connection, and one whose answers were over
    /// it before: one answer may always wait, however large.
    pub(super) fn push(&mut self, item: Item, limit: usize) {
        let over = match item {
            // Where events may have to give way or tell of others that did, each is an entry of its own.
            Item::Run(run) if self.events >= CONFLATE_FROM_BYTES || self.gone > 0 => {
                run.singles().for_each(|event| self.add(Item::Event(event)));
                self.events > limit
            }
            item @ (Item::Event(_) | Item::Run(_)) => {
                self.add(item);
                self.events > limit
            }
            answer => {
                let before = self.answers;
                self.answers += answer.bytes();
                self.slots.push_back(Slot::Item(answer));
                before > limit
            }
        };
        if over {
            self.compact();
            self.close = Some(CloseCode::SlowConsumer);
        }
    }

    /// Puts an answer in the reserved place, under the same bound; whether there was one.
    pub(super) fn fill(&mut self, answer: Item, limit: usize) -> bool {
        let bytes = answer.bytes();
        // From the end: little was queued since it was kept.
        let Some(slot) = self.slots.iter_mut().rev().find(|slot| matches!(slot, Slot::Reserved)) else { return false };
        *slot = Slot::Item(answer);
        if self.answers > limit && !self.is_ending() {
            self.close = Some(CloseCode::SlowConsumer);
        }
        self.answers += bytes;
        true
    }

    /// Whether so many answers wait that the next request has to.
    pub(super) fn is_holding(&self, limit: usize) -> bool {
        self.answers >= HOLD_FROM_BYTES.min(limit / 4)
    }

    /// Queues what a join missed.
    pub(super) fn replay(&mut self, events: Vec<Arc<StoredEvent>>, snapshot: bool) -> ReplayMark {
        let replay = Replay::new(events, snapshot);
        let mark = replay.mark();
        self.replays += replay.bytes();
        self.slots.push_back(Slot::Replay(Box::new(replay)));
        mark
    }

    /// Whether as much of replays waits as may: then no other join may bring about one.
    pub(super) fn replays_are_full(&self, limit: usize) -> bool {
        self.replays > limit.saturating_mul(REPLAYS)
    }

    /// What is queued of `room` is delivered as it is. The queue isn't looked through: this happens under the room's lock.
    pub(super) fn seal(&mut self, room: u64) {
        if self.slots.is_empty() {
            return;
        }
        if self.sealed.len() >= SEALS {
            self.sealed.clear();
            self.all_sealed = self.generation;
        }
        self.sealed.insert(room, self.generation);
        self.generation = self.generation.saturating_add(1);
    }

    fn is_sealed(&self, event: &QueuedEvent) -> bool {
        let of_room = self.sealed.get(&event.event.room_id);
        event.generation < self.all_sealed || of_room.is_some_and(|sealed| event.generation <= *sealed)
    }

    /// The connection ends with `code`. Only a graceful end still delivers what is queued of rooms: before any other nothing but
    /// what answers requests is written, however long the queue is. Gives back what has to be dropped.
    pub(super) fn end(&mut self, code: CloseCode) -> VecDeque<Slot> {
        self.close = Some(code);
        if code == CloseCode::Restart {
            return VecDeque::new();
        }
        let of_rooms =
            |slot: &Slot| matches!(slot, Slot::Item(Item::Event(_) | Item::Run(_)) | Slot::Replay(_) | Slot::Gone { .. });
        let (dropped, kept) = std::mem::take(&mut self.slots).into_iter().partition(of_rooms);
        self.slots = kept;
        (self.events, self.replays, self.gone, self.indexed) = (0, 0, 0, false);
        self.latest = HashMap::new();
        dropped
    }

    /// Takes what is queued: all of a short queue, the first part of a long one. Beside it what has to be dropped.
    pub(super) fn take(&mut self) -> (Taken, VecDeque<Slot>) {
        let mut taken = Taken { ending: self.close.is_some(), ..Taken::default() };
        let mut dropped = VecDeque::new();
        if self.close == Some(CloseCode::SlowConsumer) {
            // The reader doesn't read: what is queued is not worth the wait. It recovers when it comes back.
            dropped = self.clear();
        }
        self.take_into(&mut taken.items);
        if self.slots.is_empty() {
            taken.close = self.close;
        }
        (taken, dropped)
    }

    /// Nothing will be taken any more. Gives back what has to be dropped.
    pub(super) fn abandon(&mut self) -> VecDeque<Slot> {
        self.closed = true;
        self.latest = HashMap::new();
        self.sealed = HashMap::new();
        self.clear()
    }

    /// Empties the queue. What it held is dropped once the lock is free: publishers may wait for that.
    fn clear(&mut self) -> VecDeque<Slot> {
        self.drop_for_slowness();
        (self.events, self.answers, self.replays, self.gone) = (0, 0, 0, 0);
        std::mem::take(&mut self.slots)
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
            && self.events >= CONFLATE_FROM_BYTES
        {
            self.conflate(&event.event);
        }
        self.append(item);
    }

    fn append(&mut self, mut item: Item) {
        self.events += item.bytes();
        if let Item::Event(event) = &mut item {
            event.generation = self.generation;
            if self.indexed
                && let Some(key) = event.event.conflation
            {
                self.latest.insert(key, self.base + self.slots.len() as u64);
            }
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
        let Some(index) = place.checked_sub(self.base).map(|index| index as usize) else { return };
        let Some(Slot::Item(Item::Event(older))) = self.slots.get(index) else { return };
        // A hash can collide; an event of another key must never be lost for it. Of a membership that has ended nothing is
        // replaced: the new one would be told of skipped events that it never missed.
        if !older.event.same_key(newer) || self.is_sealed(older) {
            return;
        }
        let (room, skipped) = (older.event.room_id, older.skipped + 1);
        let freed = ITEM_BYTES + older.event.text.len();
        self.slots[index] = Slot::Gone { room, skipped };
        self.events = self.events.saturating_sub(freed);
        self.gone += 1;
        self.conflated += 1;
        if self.gone > 64 && self.gone * 2 > self.slots.len() {
            self.compact();
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
                    event.skipped += carried.remove(&event.event.room_id).unwrap_or(0);
                    kept.push_back(Slot::Item(Item::Event(event)));
                }
                Slot::Item(Item::Run(run)) if run.room_id().is_some_and(|room| carried.contains_key(&room)) => {
                    kept.extend(run.singles().map(|mut event| {
                        event.skipped += carried.remove(&event.event.room_id).unwrap_or(0);
                        Slot::Item(Item::Event(event))
                    }));
                }
                Slot::Replay(replay) => {
                    // It follows a `room_joined`, which sets the client's position anew.
                    if let Some(event) = replay.first() {
                        carried.remove(&event.room_id);
                    }
                    kept.push_back(Slot::Replay(replay));
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
        while let Some(slot) = self.slots.front_mut() {
            match slot {
                Slot::Item(item) => {
                    let bytes = item.bytes();
                    if !out.is_empty() && budget < bytes {
                        break;
                    }
                    budget = budget.saturating_sub(bytes);
                    let account = if item.is_event() { &mut self.events } else { &mut self.answers };
                    *account = account.saturating_sub(bytes);
                    if let Some(Slot::Item(item)) = self.slots.pop_front() {
                        out.push(item);
                    }
                }
                Slot::Replay(replay) => {
                    if let Some(event) = replay.first() {
                        let bytes = Replay::cost(event);
                        if !out.is_empty() && budget < bytes {
                            break;
                        }
                        budget = budget.saturating_sub(bytes);
                        self.replays = self.replays.saturating_sub(bytes);
                        let snapshot = replay.snapshot;
                        out.extend(replay.take().map(|event| Item::Event(QueuedEvent::replayed(event, snapshot))));
                    }
                    if replay.len() > 0 {
                        continue;
                    }
                    self.slots.pop_front();
                }
                // After `compact` only at the end of the queue: the room's next event is yet to come.
                Slot::Gone { .. } | Slot::Reserved => break,
            }
            self.base += 1;
        }
        if self.slots.is_empty() {
            self.latest.clear();
            self.indexed = false;
            self.sealed.clear();
            (self.generation, self.all_sealed) = (0, 0);
        }
    }
}
