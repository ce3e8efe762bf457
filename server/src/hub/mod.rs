//! The hub: rooms and connections of this process. Synchronous: nothing here waits, and nothing here knows of sockets.
//!
//! A room's lock covers numbering, the history and the members' queues, so that all members see one order and a joining
//! client neither misses an event nor gets one twice. The shards only find rooms; their locks are held for a look-up.

mod counts;
pub mod event;
pub mod outbox;
pub mod presence;
pub mod registry;
mod room;
mod totals;
pub mod traffic;

pub use counts::Counts;
pub use room::{JoinError, JoinRequest};

use crate::clock::Ahead;
use crate::engine::{Apply, Done, Engine, EngineError, Pending, Stored};
use counts::Batch;
use event::NewEvent;
use osbackend_protocol::{Classified, DeliveryClass, JsonObject, RoomJoined, RoomName, Timestamp};
use outbox::Outbox;
use parking_lot::Mutex;
use presence::{Departure, Person, PresenceOptions, Presences};
use registry::{ConnectionId, Registry};
use room::Room;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};
use totals::{Sizes, Totals};

const SHARDS: usize = 64;

/// A room's place, under its lock. It is opened under this lock and no other: who needs another room doesn't wait.
#[derive(Default)]
enum Slot {
    /// To be opened by the first who needs it.
    #[default]
    Unopened,
    Open(Box<Room>),
    /// No longer in its shard: who still holds it must look the room up again.
    Dropped,
}

type Shard = Mutex<HashMap<RoomName, Arc<Mutex<Slot>>>>;

/// Rooms and connections.
pub struct Hub {
    shards: Vec<Shard>,
    hasher: RandomState,
    engine: Box<dyn Engine>,
    /// The live connections.
    pub registry: Registry,
    ids: Ids,
    next_room: AtomicU64,
    /// Sums since the start.
    pub counts: Counts,
    totals: Totals,
    presences: Presences,
    /// How far the clock of `now_ms` is ahead of the time of events.
    ahead: Ahead,
}

/// Ids that no other process gives: a random part, and a count.
struct Ids {
    process: String,
    next: AtomicU64,
}

/// A room as the status shows it (§9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomStatus {
    /// Its name.
    pub room: RoomName,
    /// Connections in it.
    pub client_count: usize,
    /// Its epoch.
    pub epoch: String,
    /// The offset of its newest event.
    pub offset: u64,
}

/// A page of a room's history.
pub struct HistoryPage {
    /// The epoch.
    pub epoch: String,
    /// The offset of the newest event.
    pub offset: u64,
    /// The events.
    pub events: Vec<Arc<event::StoredEvent>>,
}

impl Hub {
    /// An empty hub; `process` must be unlike that of every earlier process, ids are made from it.
    pub fn new(engine: Box<dyn Engine>, process: impl Into<String>, presence: PresenceOptions) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::new(),
            engine,
            registry: Registry::default(),
            ids: Ids { process: process.into(), next: AtomicU64::new(0) },
            next_room: AtomicU64::new(0),
            counts: Counts::default(),
            totals: Totals::default(),
            presences: Presences::new(presence),
            ahead: Ahead::default(),
        }
    }

    /// Takes the times of events from a clock that is ahead of them by this.
    #[must_use]
    pub fn with_ahead(self, ahead: Ahead) -> Self {
        Self { ahead, ..self }
    }

    /// An empty hub that many hold; engines that answer later need it so.
    pub fn shared(engine: Box<dyn Engine>, process: impl Into<String>, presence: PresenceOptions) -> Arc<Self> {
        Self::new(engine, process, presence).share()
    }

    /// As [`Self::shared`], of this hub.
    pub fn share(self) -> Arc<Self> {
        let hub = Arc::new(self);
        // In two steps, or the weak pointer would be one to a `Hub`.
        let weak: Weak<Self> = Arc::downgrade(&hub);
        hub.engine.attach(weak);
        hub
    }

    /// Stores what was published so far, and closes the engine's files; later publishes are refused.
    pub fn stop(&self) {
        self.engine.stop();
    }

    /// The engine's name.
    pub fn engine_name(&self) -> &'static str {
        self.engine.name()
    }

    /// Whether the engine can serve.
    pub fn engine_ready(&self) -> Result<(), EngineError> {
        self.engine.ready()
    }

    /// An id that was never given before, such as `e-1f3a…-42`.
    pub fn new_id(&self, prefix: &str) -> Arc<str> {
        let number = self.ids.next.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}-{}-{number:x}", self.ids.process).into()
    }

    /// Events published so far.
    pub fn published(&self) -> u64 {
        self.counts.published_by_class().iter().map(|(_, count)| count).sum()
    }

    fn time(&self, now_ms: u64) -> Timestamp {
        Timestamp(self.ahead.wall(now_ms))
    }

    fn shard(&self, room: &RoomName) -> &Shard {
        let hash = self.hasher.hash_one(room);
        &self.shards[hash as usize % SHARDS]
    }

    /// Runs `with` on the room, which is opened when it isn't in memory.
    fn with_room<T>(&self, name: &RoomName, with: impl FnOnce(&mut Room) -> T) -> Result<T, EngineError> {
        loop {
            let slot = {
                let mut shard = self.shard(name).lock();
                match shard.get(name) {
                    Some(slot) => slot.clone(),
                    None => {
                        self.totals.add_room(1);
                        shard.entry(name.clone()).or_default().clone()
                    }
                }
            };
            let mut slot = slot.lock();
            if matches!(*slot, Slot::Unopened) {
                let id = self.next_room.fetch_add(1, Ordering::Relaxed);
                match self.engine.open(name, id) {
                    Ok(stream) => *slot = Slot::Open(Box::new(Room::new(name.clone(), id, stream))),
                    Err(error) => {
                        drop(slot);
                        self.drop_if(name, |slot| matches!(slot, Slot::Unopened));
                        return Err(error);
                    }
                }
            }
            // Between the look-up and the lock the sweep may have dropped it.
            if let Slot::Open(room) = &mut *slot {
                room.used = true;
                return Ok(self.resizing(room, with));
            }
        }
    }

    /// Runs `with` on a room, which may have more or fewer members afterwards.
    fn resizing<T>(&self, room: &mut Room, with: impl FnOnce(&mut Room) -> T) -> T {
        let before = Sizes::of(room);
        let result = with(room);
        self.totals.resized(before, Sizes::of(room));
        result
    }

    /// Runs `with` on the room if it is in memory.
    fn peek<T>(&self, name: &RoomName, with: impl FnOnce(&mut Room) -> T) -> Option<T> {
        let slot = self.shard(name).lock().get(name).cloned()?;
        match &mut *slot.lock() {
            Slot::Open(room) => Some(self.resizing(room, with)),
            Slot::Unopened | Slot::Dropped => None,
        }
    }

    /// Joins a room (§5), unless it is full: `announce` queues the answer, then what the client missed is queued, then live events follow.
    pub fn join(
        &self,
        connection: ConnectionId,
        outbox: &Arc<Outbox>,
        person: Option<&Person>,
        request: &JoinRequest,
        now_ms: u64,
        announce: impl FnOnce(&RoomJoined),
    ) -> Result<RoomJoined, JoinError> {
        let user = person.map(|person| person.user.clone());
        let joined = self.with_room(&request.room, |room| {
            let again = room.is_member(connection);
            let joined = room.join(connection, outbox, user, request, self.time(now_ms), announce)?;
            if !again {
                room.arrived(connection, person, request.returning, now_ms, &self.presences);
            }
            Ok::<_, JoinError>(joined)
        })??;
        self.counts.joined(joined.replayed + joined.snapshot);
        Ok(joined)
    }

    /// Leaves a room; whether the connection was in it. `how` decides when the others are told.
    pub fn leave(&self, connection: ConnectionId, name: &RoomName, how: Departure, now_ms: u64) -> bool {
        let (left, empty) = self
            .peek(name, |room| {
                let left = room.leave(connection);
                if let Some(member) = &left {
                    room.departed(member, how, now_ms, &self.presences);
                }
                (left.is_some(), room.is_deserted() && room.stream.is_idle())
            })
            .unwrap_or_default();
        if empty {
            self.drop_if_idle(name);
        }
        left
    }

    fn drop_if_idle(&self, name: &RoomName) {
        self.drop_if(name, |slot| matches!(slot, Slot::Open(room) if room.is_deserted() && room.stream.is_idle()));
    }

    /// Drops the room from memory if `unneeded`. Whoever holds its lock needs it: the shard doesn't wait for them.
    fn drop_if(&self, name: &RoomName, unneeded: impl FnOnce(&Slot) -> bool) {
        let mut shard = self.shard(name).lock();
        let Some(slot) = shard.get(name).cloned() else { return };
        let Some(mut slot) = slot.try_lock() else { return };
        if unneeded(&slot) {
            if let Slot::Open(room) = &*slot {
                self.totals.resized(Sizes::of(room), Sizes::default());
                self.engine.closed(name, room.stream.offset());
            }
            *slot = Slot::Dropped;
            shard.remove(name);
            self.totals.add_room(-1);
        }
    }

    /// Drops what is over its age, and rooms that hold nothing and nobody. Where the engine keeps the streams, a room that
    /// nobody is in and nobody asked for since the last sweep is dropped too. To be called now and then.
    pub fn sweep(&self, now_ms: u64) {
        let (keeps_streams, time) = (self.engine.keeps_streams(), self.time(now_ms));
        for shard in &self.shards {
            let names: Vec<_> = shard.lock().keys().cloned().collect();
            for name in names {
                let unneeded = self.peek(&name, |room| {
                    room.stream.expire(time);
                    let used = std::mem::replace(&mut room.used, false);
                    room.is_deserted() && (room.stream.is_over(time) || (keeps_streams && !used))
                });
                if unneeded == Some(true) {
                    let empty = |room: &Room| room.is_deserted() && !room.used;
                    self.drop_if(
                        &name,
                        |slot| matches!(slot, Slot::Open(room) if empty(room) && (keeps_streams || room.stream.is_over(time))),
                    );
                }
            }
        }
    }

    /// Publishes an event; `done` is told once it is stored and queued for every member.
    pub fn publish(&self, room: RoomName, event: NewEvent, now_ms: u64, done: Done) {
        self.publish_all(vec![Pending { room, event, now_ms, place: None, done }]);
    }

    /// Publishes many in order; what goes to one room in a row costs each member one wake and one frame.
    pub fn publish_all(&self, mut pending: Vec<Pending>) {
        // From here on it is the time that the event shows.
        pending.iter_mut().for_each(|pending| pending.now_ms = self.ahead.wall(pending.now_ms));
        self.engine.publish(pending, self);
    }

    /// An event of any name that isn't conflated, with a new id.
    pub fn new_event(&self, kind: &str, data: JsonObject, classified: Classified) -> NewEvent {
        NewEvent { kind: kind.into(), data, classified, event_id: self.new_id("e"), ephemeral: false, idempotency_key: None }
    }

    /// Rooms that are in memory.
    pub fn rooms(&self) -> Vec<RoomStatus> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let names: Vec<_> = shard.lock().keys().cloned().collect();
            all.extend(names.into_iter().filter_map(|name| {
                self.peek(&name, |room| {
                    let (client_count, epoch) = (room.client_count(), room.stream.epoch().to_owned());
                    RoomStatus { room: name.clone(), client_count, epoch, offset: room.stream.offset() }
                })
            }));
        }
        all.sort_unstable_by(|a, b| a.room.cmp(&b.room));
        all
    }

    /// How many rooms are in memory, and the sum of their members. Costs the same however many there are.
    pub fn totals(&self) -> (usize, usize) {
        (self.totals.rooms(), self.totals.members())
    }

    /// How many connections are in a room.
    pub fn client_count(&self, room: &RoomName) -> usize {
        self.peek(room, |room| room.client_count()).unwrap_or(0)
    }

    /// Held events of a room. Asking for one that holds nothing leaves no trace: names are free.
    ///
    /// # Errors
    /// The engine can't read it.
    pub fn history(
        &self,
        room: &RoomName,
        since: Option<u64>,
        limit: usize,
        reverse: bool,
        now_ms: u64,
    ) -> Result<HistoryPage, EngineError> {
        let page = |room: &mut Room| {
            room.used = true;
            room.stream.expire(self.time(now_ms));
            let events = room.stream.history(since, limit, reverse);
            HistoryPage { epoch: room.stream.epoch().to_owned(), offset: room.stream.offset(), events }
        };
        if let Some(page) = self.peek(room, page) {
            return Ok(page);
        }
        match self.engine.vacant(room)? {
            Some(epoch) => Ok(HistoryPage { epoch, offset: 0, events: Vec::new() }),
            None => self.with_room(room, page),
        }
    }
}

impl Apply for Hub {
    fn apply(&self, pending: Vec<Pending>) {
        let mut pending = pending.into_iter().peekable();
        while let Some(Pending { room, event, now_ms, place, done }) = pending.next() {
            let (mut events, mut dones) = (vec![(event, Timestamp(now_ms))], vec![(place, done)]);
            while let Some(next) = pending.next_if(|next| next.room == room) {
                events.push((next.event, Timestamp(next.now_ms)));
                dones.push((next.place, next.done));
            }
            let publish = |room: &mut Room| (room.publish(events), room.is_deserted() && room.stream.is_idle());
            match self.with_room(&room, publish) {
                Ok(((published, batch), empty)) => {
                    self.counts.published(batch);
                    // Ephemeral ones, for nobody.
                    if empty {
                        self.drop_if_idle(&room);
                    }
                    dones.into_iter().zip(published).for_each(|((_, done), published)| done(Ok(published)));
                }
                Err(error) => dones.into_iter().for_each(|(place, done)| {
                    if let Some(place) = place {
                        place.refuse(now_ms);
                    }
                    done(Err(error.clone()));
                }),
            }
        }
    }

    fn deliver(&self, stored: Vec<Stored>) {
        let mut stored = stored.into_iter().peekable();
        while let Some(Stored { room, event, published, done }) = stored.next() {
            let (mut events, mut told) = (Vec::from_iter(event), vec![(done, published)]);
            while let Some(next) = stored.next_if(|next| next.room == room) {
                events.extend(next.event);
                told.push((next.done, next.published));
            }
            if !events.is_empty() {
                let batch = Batch::of(events.iter().map(|event| (event.offset, event.key.is_some())), 0);
                let deliveries = self.peek(&room, |room| room.deliver(events));
                self.counts.published(batch.delivered(deliveries.unwrap_or(0)));
            }
            told.into_iter().for_each(|(done, published)| done(Ok(published)));
        }
    }
}

/// What any event without a conflation key is.
pub fn reliable() -> Classified {
    Classified { class: DeliveryClass::Reliable, key: None }
}
