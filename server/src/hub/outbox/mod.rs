//! The bounded queue between the rooms and one socket: filled by publishers, emptied by the connection's task (§5, §7).
//!
//! The writer takes many messages at once, so that they share a frame (batching) or a system call. When the reader falls
//! behind, an older queued event of the same room, type and key gives way to a newer one; the next event of that room then
//! says how many were skipped. A queue over its bound with nothing left to conflate closes the connection.

mod look;
mod run;

pub use look::QueueLook;
pub use run::Run;

use crate::hub::event::StoredEvent;
use bytes::Bytes;
use osbackend_protocol::CloseCode;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tungstenite::Utf8Bytes;

/// Queued bytes from which on older `latest` events give way: below it the reader is not behind, and a look-up per
/// event would cost the common case.
const CONFLATE_FROM_BYTES: usize = 32 * 1024;
/// The writer takes about this many bytes at once from a long queue; the rest stays where it can be conflated.
const TAKE_BYTES: usize = 64 * 1024;
/// What a queued message costs beside its text.
const ITEM_BYTES: usize = 48;

/// Events of replays and snapshots that may wait for one connection: what 100 rooms hold, three times over, some 16 MiB of
/// pointers. More are only asked for by who joins again and again and doesn't read.
const MAX_REPLAYS: usize = 350_000;

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
    /// Whether it counts towards the queue's bound. Replays don't: they are in the history anyway, and a
    /// recovery that is larger than the bound would never end.
    counted: bool,
    /// Queued for a membership that has ended: what comes later doesn't replace it, or the new membership would be told of
    /// skipped events that it never missed.
    sealed: bool,
}

impl QueuedEvent {
    /// A live event.
    pub fn live(event: Arc<StoredEvent>) -> Self {
        Self { event, skipped: 0, snapshot: false, counted: true, sealed: false }
    }

    /// An event of a replay or a snapshot.
    pub fn replayed(event: Arc<StoredEvent>, snapshot: bool) -> Self {
        Self { event, skipped: 0, snapshot, counted: false, sealed: false }
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
    fn bytes(&self) -> usize {
        match self {
            Self::Run(run) => run.bytes(),
            Self::Text(text) => ITEM_BYTES + text.len(),
            Self::Binary(data) => ITEM_BYTES + data.len(),
            Self::Event(event) if event.counted => ITEM_BYTES + event.event.text.len(),
            // Counted by itself, see `MAX_REPLAYS`.
            Self::Event(_) => 0,
            Self::Ping => ITEM_BYTES,
        }
    }

    fn is_replay(&self) -> bool {
        matches!(self, Self::Event(event) if !event.counted)
    }
}

/// A place in the queue.
#[derive(Debug)]
enum Slot {
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
struct Queue {
    slots: VecDeque<Slot>,
    bytes: usize,
    /// Queued events of replays and snapshots, which `bytes` leaves out.
    replays: usize,
    /// How many slots were taken before the first that is queued: `place - base` is an index.
    base: u64,
    gone: usize,
    /// Conflation key to place, for the queued `latest` events; only kept while the queue is long.
    latest: HashMap<u64, u64>,
    indexed: bool,
    close: Option<CloseCode>,
    closed: bool,
    waker: Option<Waker>,
    conflated: u64,
    dropped: u64,
}

/// The queue of one connection.
pub struct Outbox {
    queue: Mutex<Queue>,
    limit: usize,
}

/// What the writer takes.
#[derive(Debug, Default)]
pub struct Taken {
    /// In order.
    pub items: Vec<Item>,
    /// The connection ends after the items.
    pub close: Option<CloseCode>,
}

impl Outbox {
    /// An empty queue; `limit` bytes at most, 0 for no limit.
    pub fn new(limit: usize) -> Self {
        Self { queue: Mutex::new(Queue::default()), limit: if limit == 0 { usize::MAX } else { limit } }
    }

    /// Queues a message for this connection.
    pub fn push(&self, item: Item) {
        let waker = {
            let mut queue = self.queue.lock();
            if queue.is_ending() {
                return;
            }
            let was_empty = queue.slots.is_empty();
            match item {
                // Where events may have to give way or tell of others that did, each is an entry of its own.
                Item::Run(run) if queue.bytes >= CONFLATE_FROM_BYTES || queue.gone > 0 => {
                    run.singles().for_each(|event| queue.add(Item::Event(event)));
                }
                item => queue.add(item),
            }
            if queue.bytes > self.limit || (queue.replays > MAX_REPLAYS && self.limit < usize::MAX) {
                queue.compact();
                queue.close = Some(CloseCode::SlowConsumer);
            }
            if was_empty || queue.close.is_some() { queue.waker.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Queues many; they are taken as one.
    pub fn push_all(&self, items: impl Iterator<Item = Item>) {
        items.for_each(|item| self.push(item));
    }

    /// Keeps a place for a message that must come before what is queued from now on; one place at a time.
    pub fn reserve(&self) -> Reserved {
        self.queue.lock().slots.push_back(Slot::Reserved);
        Reserved(())
    }

    /// Puts a message in its reserved place.
    pub fn fill(&self, _place: Reserved, text: Utf8Bytes) {
        let waker = {
            let mut queue = self.queue.lock();
            let item = Item::Text(text);
            let bytes = item.bytes();
            let Some(slot) = queue.slots.iter_mut().find(|slot| matches!(slot, Slot::Reserved)) else { return };
            *slot = Slot::Item(item);
            queue.bytes += bytes;
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// A membership in `room` ends or begins anew: what is queued of it is delivered as it is.
    pub fn seal(&self, room: u64) {
        let mut queue = self.queue.lock();
        queue.take_apart(room);
        for slot in &mut queue.slots {
            if let Slot::Item(Item::Event(event)) = slot
                && event.event.room_id == room
            {
                event.sealed = true;
            }
        }
    }

    /// Ends the connection with `code` once what is queued is written; the first call decides.
    pub fn close(&self, code: CloseCode) {
        let waker = {
            let mut queue = self.queue.lock();
            if queue.is_ending() {
                return;
            }
            queue.close = Some(code);
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nothing will be taken any more: the socket is gone.
    pub fn abandon(&self) {
        let mut queue = self.queue.lock();
        queue.drop_for_slowness();
        queue.closed = true;
        queue.slots = VecDeque::new();
        queue.latest = HashMap::new();
        (queue.bytes, queue.replays) = (0, 0);
        queue.waker = None;
    }

    /// Ready when there is something to take.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.queue.lock();
        if queue.has_work() {
            return Poll::Ready(());
        }
        queue.wake_later(cx);
        Poll::Pending
    }

    /// Whether the connection is to end although its writer may be stuck: the queue went over its bound, or it was closed.
    pub fn poll_ending(&self, cx: &mut Context<'_>) -> Poll<CloseCode> {
        let mut queue = self.queue.lock();
        match queue.close {
            Some(code) => Poll::Ready(code),
            None => {
                queue.wake_later(cx);
                Poll::Pending
            }
        }
    }

    /// Takes what is queued: all of a short queue in one swap, the first part of a long one.
    pub fn take(&self) -> Taken {
        let mut queue = self.queue.lock();
        let mut taken = Taken::default();
        if queue.close == Some(CloseCode::SlowConsumer) {
            // The reader doesn't read: what is queued is not worth the wait. It recovers when it comes back.
            queue.drop_for_slowness();
            queue.slots.clear();
            (queue.bytes, queue.replays) = (0, 0);
        }
        queue.take_into(&mut taken.items);
        if queue.slots.is_empty() {
            taken.close = queue.close;
        }
        taken
    }

    /// Queued bytes now.
    pub fn bytes(&self) -> usize {
        self.queue.lock().bytes
    }

    /// Events that gave way to newer ones so far.
    pub fn conflated(&self) -> u64 {
        self.queue.lock().conflated
    }

    /// The code with which the connection ends, once that is decided.
    pub fn ending(&self) -> Option<CloseCode> {
        self.queue.lock().close
    }
}

/// A place kept by [`Outbox::reserve`].
#[derive(Debug)]
pub struct Reserved(());

impl Queue {
    fn wake_later(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    fn is_ending(&self) -> bool {
        self.closed || self.close.is_some()
    }

    fn has_work(&self) -> bool {
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

#[cfg(test)]
mod tests;
