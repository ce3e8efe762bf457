//! A durable engine in virtual time: a disk that outlives processes, a writer that commits groups when the world says so.
//!
//! It keeps the contract of [`osbackend_server::engine`] as the SQLite engine does, without a thread: what is published waits in
//! a queue, is committed later, and is delivered and acknowledged later still. The process may end between any two of these.

use crate::{mutant::Mutant, oracle::Book};
use osbackend_protocol::{Published, RoomName, Timestamp};
use osbackend_server::{
    engine::{Apply, Engine, EngineError, Pending, Retention, Stored, Stream, in_order},
    hub::event::{Encoded, StoredEvent},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

/// How long a key counts, in milliseconds (§3).
const IDEMPOTENCY_MS: u64 = 300_000;
/// Groups of commits that a loss of power may take.
const UNSAFE_COMMITS: usize = 8;

/// What outlives every process.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Platter>>);

#[derive(Default)]
struct Platter {
    lineage: u64,
    rooms: BTreeMap<RoomName, RoomFile>,
    /// The last groups: of each, the rooms and their offsets before it.
    last: Vec<BTreeMap<RoomName, u64>>,
}

#[derive(Default)]
struct RoomFile {
    /// The event with offset `n` is `rows[n - 1]`; all are kept, and read as far as the retention goes.
    rows: Vec<Encoded>,
    /// Of what was published by key: when, where and as what.
    keys: HashMap<String, (u64, Option<u64>, String)>,
    /// Offsets below this one are gone, whatever the retention says.
    forgotten: u64,
}

fn copy(event: &Encoded) -> Encoded {
    let Encoded { offset, timestamp, kind, key, event_id, text } = event;
    let (kind, key, event_id, text) = (kind.clone(), key.clone(), event_id.clone(), text.clone());
    Encoded { offset: *offset, timestamp: *timestamp, kind, key, event_id, text }
}

impl Platter {
    fn epoch(&self) -> String {
        format!("d{}", self.lineage)
    }

    fn offset(&self, room: &RoomName) -> u64 {
        self.rooms.get(room).map_or(0, |file| file.rows.len() as u64)
    }
}

impl Disk {
    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The epoch of every room.
    pub(crate) fn epoch(&self) -> String {
        self.platter().epoch()
    }

    /// How many events each room has.
    pub(crate) fn offsets(&self) -> BTreeMap<String, u64> {
        self.platter().rooms.iter().map(|(room, file)| (room.to_string(), file.rows.len() as u64)).collect()
    }

    /// The power fails: up to `groups` of the last commits are gone. Every stream begins a new epoch at what is left.
    pub(crate) fn lose_power(&self, groups: usize, mutant: Mutant) {
        let mut platter = self.platter();
        let Platter { rooms, last, .. } = &mut *platter;
        for group in last.drain(last.len().saturating_sub(groups)..).rev() {
            for (room, offset) in group {
                if let Some(file) = rooms.get_mut(&room) {
                    file.rows.truncate(usize::try_from(offset).unwrap_or(usize::MAX));
                    file.keys.retain(|_, (_, at, _)| at.is_none_or(|at| at <= offset));
                }
            }
        }
        if mutant != Mutant::EpochReused {
            platter.lineage += 1;
        }
    }

    /// What a mutant forgets when a process begins.
    pub(crate) fn reopened(&self, mutant: Mutant) {
        let mut platter = self.platter();
        match mutant {
            Mutant::KeysForgotten => platter.rooms.values_mut().for_each(|file| file.keys.clear()),
            Mutant::HistoryForgotten => {
                platter.rooms.values_mut().for_each(|file| file.forgotten = file.rows.len() as u64);
            }
            Mutant::NewEpochAtRestart => platter.lineage += 1,
            _ => {}
        }
    }
}

/// What the writer has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Nothing,
    Commit,
    Deliver,
}

#[derive(Default)]
struct Work {
    queue: Vec<Pending>,
    committed: Option<Vec<Stored>>,
    /// By the mutant that delivers before it commits.
    uncommitted: Vec<Encoded>,
    rooms: Vec<RoomName>,
    /// The world has been asked for a turn.
    asked: bool,
}

/// The writer of one process.
pub(crate) struct Writer {
    disk: Disk,
    book: Book,
    retention: Retention,
    mutant: Mutant,
    hub: OnceLock<Weak<dyn Apply + Send + Sync>>,
    work: Mutex<Work>,
}

/// The engine of a process: its writer's other side.
pub(crate) struct Durable(pub(crate) Arc<Writer>);

impl Writer {
    pub(crate) fn new(disk: Disk, book: Book, retention: Retention, mutant: Mutant) -> Arc<Self> {
        let (hub, work) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { disk, book, retention, mutant, hub, work })
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be scheduled now; asked for once, until that was done.
    pub(crate) fn turn(&self) -> Turn {
        let mut work = self.work();
        let turn = match (&work.committed, work.queue.is_empty()) {
            _ if work.asked => Turn::Nothing,
            (Some(_), _) => Turn::Deliver,
            (None, false) => Turn::Commit,
            (None, true) => Turn::Nothing,
        };
        work.asked |= turn != Turn::Nothing;
        turn
    }

    /// The disk is full: nothing of what waits is stored, and whoever waits is told.
    pub(crate) fn refuse(&self) {
        let refused: Vec<Pending> = {
            let mut work = self.work();
            work.asked = false;
            work.queue.drain(..).collect()
        };
        refused.into_iter().for_each(|pending| pending.refuse(EngineError::unavailable("the disk is full")));
    }

    /// Commits what waits, all of it at once.
    pub(crate) fn commit(&self) {
        let mut work = self.work();
        work.asked = false;
        let batch = in_order(std::mem::take(&mut work.queue));
        let mut group = BTreeMap::new();
        let stored = batch.into_iter().map(|pending| self.one(pending, &mut group, &mut work)).collect();
        work.committed = Some(stored);
        let mut platter = self.disk.platter();
        platter.last.push(group);
        let over = platter.last.len().saturating_sub(UNSAFE_COMMITS);
        platter.last.drain(..over);
    }

    /// Hands what was committed to the hub, which delivers and acknowledges it.
    pub(crate) fn deliver(&self) {
        let stored = {
            let mut work = self.work();
            work.asked = false;
            work.committed.take().unwrap_or_default()
        };
        self.write_late();
        self.acknowledge(stored);
    }

    /// The mutant's commit: too late, unless somebody looks.
    fn write_late(&self) {
        let mut work = self.work();
        let (late, rooms) = (std::mem::take(&mut work.uncommitted), std::mem::take(&mut work.rooms));
        let mut platter = self.disk.platter();
        for (event, room) in late.into_iter().zip(rooms) {
            platter.rooms.entry(room).or_default().rows.push(event);
        }
    }

    /// The mutant that doesn't wait for its disk.
    pub(crate) fn deliver_early(&self) {
        let stored = self.work().committed.replace(Vec::new()).unwrap_or_default();
        self.acknowledge(stored);
    }

    /// Before the process ends by itself.
    pub(crate) fn finish(&self) {
        if self.work().committed.is_some() {
            self.deliver();
        }
        self.commit();
        self.deliver();
    }

    fn acknowledge(&self, stored: Vec<Stored>) {
        for one in &stored {
            self.book.acknowledged(&one.published);
        }
        if let Some(hub) = self.hub.get().and_then(Weak::upgrade) {
            hub.deliver(stored);
        }
    }

    fn one(&self, pending: Pending, group: &mut BTreeMap<RoomName, u64>, work: &mut Work) -> Stored {
        let Pending { room, event, now_ms, done, .. } = pending;
        let mut platter = self.disk.platter();
        let early = work.rooms.iter().filter(|other| **other == room).count() as u64;
        let (epoch, last) = (platter.epoch(), platter.offset(&room) + early);
        let file = platter.rooms.entry(room.clone()).or_default();
        let before = event.idempotency_key.as_ref().and_then(|key| file.keys.get(key));
        if let Some((_, offset, event_id)) = before.filter(|(at, ..)| at + IDEMPOTENCY_MS >= now_ms) {
            let published = Published { room: room.clone(), offset: *offset, epoch, event_id: event_id.clone() };
            return Stored { room, event: None, published, done };
        }
        let offset = (!event.ephemeral).then_some(last + 1);
        let encoded = Encoded::new(&event, &room, offset, Timestamp(now_ms));
        let published = Published { room: room.clone(), offset, epoch, event_id: event.event_id.to_string() };
        if offset.is_some() {
            group.entry(room.clone()).or_insert(last);
            if self.mutant == Mutant::AcknowledgedEarly {
                work.uncommitted.push(copy(&encoded));
                work.rooms.push(room.clone());
            } else {
                file.rows.push(copy(&encoded));
            }
        }
        if let Some(key) = &event.idempotency_key {
            file.keys.insert(key.clone(), (now_ms, offset, event.event_id.to_string()));
        }
        self.book.note(&published, &event, now_ms);
        Stored { room, event: Some(encoded), published, done }
    }

    fn open(&self, room: &RoomName, id: u64) -> Stream {
        self.write_late();
        let platter = self.disk.platter();
        let none = RoomFile::default();
        let file = platter.rooms.get(room).unwrap_or(&none);
        let offset = file.rows.len() as u64;
        let first = (offset + 1).saturating_sub(self.retention.events as u64).max(file.forgotten + 1);
        let mut newest = HashMap::new();
        for (row, at) in file.rows.iter().zip(1_u64..) {
            if let Some(key) = &row.key {
                newest.insert((&row.kind, key), at);
            }
        }
        let kept = file.rows.iter().zip(1_u64..).filter(|(row, at)| {
            let current = row.key.as_ref().is_some_and(|key| newest.get(&(&row.kind, key)) == Some(at));
            *at >= first || current
        });
        let events = kept.map(|(row, _)| Arc::new(StoredEvent::of(copy(row), id)));
        Stream::restore(platter.epoch(), self.retention, first, offset, events)
    }
}

impl Engine for Durable {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn attach(&self, hub: Weak<dyn Apply + Send + Sync>) {
        assert!(self.0.hub.set(hub).is_ok(), "an engine has one hub");
    }

    fn open(&self, room: &RoomName, id: u64) -> Result<Stream, EngineError> {
        Ok(self.0.open(room, id))
    }

    fn publish(&self, pending: Vec<Pending>, _hub: &dyn Apply) {
        self.0.work().queue.extend(pending);
    }

    fn closed(&self, _room: &RoomName, _last: u64) {}

    fn keeps_streams(&self) -> bool {
        true
    }
}
