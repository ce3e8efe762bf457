//! The truth about every room, noted where the server stores it, and not asked of the hub that is being tested.

use osbackend_protocol::{DeliveryClass, RoomName};
use osbackend_server::{
    engine::{Apply, Engine, EngineError, MemoryEngine, Pending, Stream},
    hub::event::NewEvent,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// An event as it was stored.
pub(crate) struct Fact {
    pub(crate) event_id: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) data: String,
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
    fn keyed(&mut self, event: &NewEvent, event_id: &str, offset: u64, unordered: &BTreeSet<usize>) -> Result<(), String> {
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
            Some(before) if before > number && !unordered.contains(&client) => {
                Err(format!("{data} was stored after {before} of the same client"))
            }
            _ => Ok(()),
        }
    }

    fn append(&mut self, event_id: Arc<str>, event: &NewEvent) {
        let key = event.classified.key.clone().filter(|_| event.classified.class == DeliveryClass::Latest);
        if let Some(key) = &key {
            let place = (event.kind.clone(), key.clone());
            if let Some(older) = self.newest.insert(place, self.facts.len()) {
                self.facts[older].superseded_by = Some(self.facts.len() as u64 + 1);
            }
        }
        let (kind, data) = (event.kind.clone(), event.data.get().to_owned());
        self.facts.push(Fact { event_id, kind, data, key, superseded_by: None });
    }
}

/// Everything that was ever stored, or published without being stored.
#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) rooms: BTreeMap<(String, String), History>,
    pub(crate) ephemeral: HashMap<String, String>,
    /// Clients of which the server refused a publish for now: what was under way behind it may have passed it.
    pub(crate) unordered: BTreeSet<usize>,
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
        let (room, event, book) = (pending.room.to_string(), pending.event.clone(), self.book.clone());
        let done = std::mem::replace(&mut pending.done, Box::new(|_| {}));
        pending.done = Box::new(move |result| {
            if let Ok(published) = &result {
                let mut book = book.read();
                let truth = &mut *book;
                match published.offset {
                    None => {
                        truth.ephemeral.insert(event.event_id.to_string(), room);
                    }
                    Some(offset) => {
                        let history = truth.rooms.entry((room.clone(), published.epoch.clone())).or_default();
                        if *event.kind == *"by_client"
                            && let Err(what) = history.keyed(&event, &published.event_id, offset, &truth.unordered)
                        {
                            // The first of them tells most.
                            truth.broken.get_or_insert(format!("{room} {}: {what}", published.epoch));
                        } else if *published.event_id != *event.event_id {
                            // Nothing new.
                        } else if offset == history.offset() + 1 {
                            history.append(event.event_id.clone(), &event);
                        } else {
                            let (epoch, last) = (&published.epoch, history.offset());
                            truth.broken.get_or_insert(format!("{room} {epoch}: offset {offset} was given after {last}"));
                        }
                    }
                }
            }
            done(result);
        });
        pending
    }
}
