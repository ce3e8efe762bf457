//! The truth about every room, noted where the server stores it, and not asked of the hub that is being tested.

use osbackend_protocol::{DeliveryClass, Published, RoomName};
use osbackend_server::{
    engine::{Apply, Engine, EngineError, MemoryEngine, Pending, Stream},
    hub::event::NewEvent,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// An event as it was stored.
pub(crate) struct Fact {
    pub(crate) event_id: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) data: String,
    /// When it was published, in milliseconds since 1970.
    pub(crate) at: u64,
    /// For the class *latest*.
    key: Option<String>,
    /// The offset of the next event of the same type and key.
    superseded_by: Option<u64>,
}

/// One epoch of a room: the event with offset `n` is `facts[n - 1]`.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) facts: Vec<Fact>,
    newest: HashMap<(Arc<str>, String), usize>,
    /// The data of what clients published with a key, and the number of each client's last one.
    keyed: HashMap<String, u64>,
    last: HashMap<usize, u64>,
    /// The offset of what was published with an idempotency key.
    once: HashMap<String, u64>,
    /// The offset up to which publishers were told that their events are stored.
    acknowledged: u64,
}

/// The data of what a client publishes.
pub(crate) fn by_client(number: u64, client: usize) -> String {
    format!("{{\"n\":{number},\"by\":{client}}}")
}

impl History {
    pub(crate) fn fact(&self, offset: u64) -> Option<&Fact> {
        self.facts.get(usize::try_from(offset).ok()?.checked_sub(1)?)
    }

    pub(crate) fn offset(&self) -> u64 {
        self.facts.len() as u64
    }

    /// Whether the event may be left out because of a newer one of its key.
    pub(crate) fn may_skip(&self, offset: u64) -> bool {
        self.fact(offset).is_some_and(|fact| fact.superseded_by.is_some())
    }

    /// The newest of each key up to `offset`, in their order.
    pub(crate) fn snapshot(&self, offset: u64) -> Vec<u64> {
        let held = self.facts.iter().zip(1..=offset);
        held.filter(|(fact, _)| fact.key.is_some() && fact.superseded_by.is_none_or(|newer| newer > offset))
            .map(|(_, offset)| offset)
            .collect()
    }

    /// A publish with a key: stored once, and after what its client published before.
    fn keyed(&mut self, event: &NewEvent, event_id: &str, offset: u64) -> Result<(), String> {
        let data = event.data.get();
        if event_id != &*event.event_id {
            // Answered with what was stored before.
            let same = self.fact(offset).is_some_and(|fact| *fact.event_id == *event_id && fact.data == data);
            return if same { Ok(()) } else { Err(format!("{data} was answered with another event, {offset}")) };
        }
        if let Some(before) = self.keyed.insert(data.to_owned(), offset) {
            return Err(format!("{data} was stored twice, as {before} and {offset}"));
        }
        let value: serde_json::Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
        let number = |field: &str| value[field].as_u64().unwrap_or_default();
        let (number, client) = (number("n"), number("by") as usize);
        match self.last.insert(client, number) {
            Some(before) if before > number => Err(format!("{data} was stored after {before} of the same client")),
            _ => Ok(()),
        }
    }

    fn append(&mut self, event: &NewEvent, at: u64) {
        let key = event.classified.key.clone().filter(|_| event.classified.class == DeliveryClass::Latest);
        let (event_id, kind, data) = (event.event_id.clone(), event.kind.clone(), event.data.get().to_owned());
        if let Some(key) = &event.idempotency_key {
            self.once.insert(key.clone(), self.offset() + 1);
        }
        self.push(Fact { event_id, kind, data, at, key, superseded_by: None });
    }

    fn push(&mut self, fact: Fact) {
        if let Some(key) = &fact.key {
            let place = (fact.kind.clone(), key.clone());
            if let Some(older) = self.newest.insert(place, self.facts.len()) {
                self.facts[older].superseded_by = Some(self.facts.len() as u64 + 1);
            }
        }
        self.facts.push(fact);
    }

    /// What is left when everything after `offset` is lost.
    fn first(&self, offset: u64) -> Self {
        let mut left = Self::default();
        for Fact { event_id, kind, data, at, key, .. } in self.facts.iter().take(usize::try_from(offset).unwrap_or(usize::MAX)) {
            let (event_id, kind, data, key) = (event_id.clone(), kind.clone(), data.clone(), key.clone());
            left.push(Fact { event_id, kind, data, at: *at, key, superseded_by: None });
        }
        left.keyed = self.keyed.iter().filter(|(_, at)| **at <= offset).map(|(data, at)| (data.clone(), *at)).collect();
        left.once = self.once.iter().filter(|(_, at)| **at <= offset).map(|(key, at)| (key.clone(), *at)).collect();
        left
    }

    /// Whether a server that keeps this much still held everything from `offset` up to `last` at `now`.
    pub(crate) fn held(&self, offset: u64, last: u64, (events, age_ms): (usize, u64), now: u64) -> bool {
        let young = |fact: &Fact| age_ms == 0 || fact.at >= now.saturating_sub(age_ms);
        last - offset <= events as u64 && (offset == last || self.fact(offset + 1).is_some_and(young))
    }
}

/// Everything that was ever stored, or published without being stored.
#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) rooms: BTreeMap<(String, String), History>,
    pub(crate) ephemeral: HashMap<String, String>,
    /// How much each room keeps: events, and their age in milliseconds.
    pub(crate) retention: (usize, u64),
    /// The one epoch in which all streams go on, where they outlive processes.
    pub(crate) goes_on: Option<String>,
    /// How the server broke its own numbering, if it did.
    pub(crate) broken: Option<String>,
}

/// Shared between the engine of every process and the judges.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<Truth>>);

impl Book {
    pub(crate) fn read(&self) -> MutexGuard<'_, Truth> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event is stored, or was published without being stored.
    pub(crate) fn note(&self, published: &Published, event: &NewEvent, now: u64) {
        let mut book = self.read();
        let truth = &mut *book;
        let Published { room, offset, epoch, event_id } = published;
        let Some(offset) = *offset else {
            truth.ephemeral.insert(event_id.clone(), room.to_string());
            return;
        };
        let history = truth.rooms.entry((room.to_string(), epoch.clone())).or_default();
        if *event.kind == *"by_client"
            && let Err(what) = history.keyed(event, event_id, offset)
        {
            // The first of them tells most.
            truth.broken.get_or_insert(format!("{room} {epoch}: {what}"));
            return;
        }
        if *event_id != *event.event_id {
            // Answered with what was published before, by its key.
            return;
        }
        let last = history.offset();
        let before = event.idempotency_key.as_ref().and_then(|key| history.once.get(key)).copied();
        let is_new = offset == last + 1;
        if is_new && before.is_none() {
            history.append(event, now);
        }
        if !is_new {
            truth.broken.get_or_insert(format!("{room} {epoch}: offset {offset} was given after {last}"));
        } else if let Some(before) = before {
            truth
                .broken
                .get_or_insert(format!("{room} {epoch}: {} was stored twice, as {before} and {offset}", event.data.get()));
        }
    }

    /// A publisher is told that its event is stored.
    pub(crate) fn acknowledged(&self, published: &Published) {
        let history = (published.room.to_string(), published.epoch.clone());
        let mut truth = self.read();
        if let Some(history) = truth.rooms.get_mut(&history) {
            history.acknowledged = history.acknowledged.max(published.offset.unwrap_or(0));
        }
    }

    /// A process begins with these streams in `epoch`: so many events of each room.
    pub(crate) fn restarted(&self, epoch: &str, offsets: &BTreeMap<String, u64>, power_lost: bool) {
        let mut truth = self.read();
        let before = truth.goes_on.replace(epoch.to_owned());
        let Some(before) = before else { return };
        if before != epoch && !power_lost {
            truth.broken = Some(format!("{epoch} began after {before}, though nothing can have been lost"));
        }
        for (room, offset) in offsets {
            let history = truth.rooms.get(&(room.clone(), before.clone()));
            let acknowledged = history.map_or(0, |history| history.acknowledged);
            if before != epoch {
                let left = history.map(|history| history.first(*offset)).unwrap_or_default();
                truth.rooms.insert((room.clone(), epoch.to_owned()), left);
            } else if acknowledged > *offset {
                truth.broken = Some(format!("{room} {epoch}: {acknowledged} was acknowledged, and the restart left {offset}"));
            }
        }
    }
}

/// The memory engine, with every publish noted in the book.
pub(crate) struct Witness {
    pub(crate) engine: MemoryEngine,
    pub(crate) book: Book,
}

impl Engine for Witness {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn open(&self, room: &RoomName, id: u64) -> Result<Stream, EngineError> {
        self.engine.open(room, id)
    }

    fn publish(&self, pending: Vec<Pending>, hub: &dyn Apply) {
        self.engine.publish(pending.into_iter().map(|pending| self.witnessed(pending)).collect(), hub);
    }

    fn closed(&self, room: &RoomName, last: u64) {
        self.engine.closed(room, last);
    }
}

impl Witness {
    fn witnessed(&self, mut pending: Pending) -> Pending {
        let (event, now, book) = (pending.event.clone(), pending.now_ms, self.book.clone());
        let done = std::mem::replace(&mut pending.done, Box::new(|_| {}));
        pending.done = Box::new(move |result| {
            if let Ok(published) = &result {
                book.note(published, &event, now);
            }
            done(result);
        });
        pending
    }
}
