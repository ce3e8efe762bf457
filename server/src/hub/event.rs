//! An event as a room keeps it: encoded once, shared by the history, the snapshot and every member's queue.

use osbackend_protocol::{Classified, DeliveryClass, EventFrame, JsonObject, RoomName, ServerFrame, Timestamp, encode_server};
use std::{
    hash::{BuildHasher, Hasher},
    sync::{Arc, LazyLock},
};
use tungstenite::Utf8Bytes;

/// An event that is to be numbered and stored.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its name.
    pub kind: Arc<str>,
    /// Its data.
    pub data: JsonObject,
    /// How it is delivered.
    pub classified: Classified,
    /// The same in every room that one emission goes to.
    pub event_id: Arc<str>,
    /// Without an offset, kept nowhere.
    pub ephemeral: bool,
    /// Publishing again with the same key stores nothing new; made by `Publisher::key`.
    pub idempotency_key: Option<String>,
}

/// An event with its place in a room.
#[derive(Debug)]
pub struct StoredEvent {
    /// Its place; `None` for an ephemeral one.
    pub offset: Option<u64>,
    /// When it was taken.
    pub timestamp: Timestamp,
    /// Its name.
    pub kind: Arc<str>,
    /// What the newest is kept of, for the class *latest*.
    pub key: Option<Box<str>>,
    /// A hash of room, name and key, for the class *latest*.
    pub conflation: Option<u64>,
    /// The room, as the hub numbers it.
    pub room_id: u64,
    /// The same in every room that one emission goes to.
    pub event_id: Arc<str>,
    /// The whole message.
    pub text: Utf8Bytes,
}

/// One hasher for the process: its keys are random, so nobody can choose names that collide.
static HASHER: LazyLock<std::collections::hash_map::RandomState> = LazyLock::new(std::collections::hash_map::RandomState::new);

/// An event that is numbered and encoded, and not in a room yet: what an engine keeps of it.
#[derive(Debug)]
pub struct Encoded {
    /// Its place; `None` for an ephemeral one.
    pub offset: Option<u64>,
    /// When it was taken.
    pub timestamp: Timestamp,
    /// Its name.
    pub kind: Arc<str>,
    /// What the newest is kept of, for the class *latest*.
    pub key: Option<Box<str>>,
    /// The same in every room that one emission goes to.
    pub event_id: Arc<str>,
    /// The whole message.
    pub text: Utf8Bytes,
}

impl Encoded {
    /// Encodes `event` as number `offset` of `room`.
    pub fn new(event: &NewEvent, room: &RoomName, offset: Option<u64>, timestamp: Timestamp) -> Self {
        let key = match event.classified.class {
            DeliveryClass::Latest => event.classified.key.clone().map(String::into_boxed_str),
            DeliveryClass::Reliable => None,
        };
        let text = encode_server(&ServerFrame::Event(EventFrame {
            kind: event.kind.to_string(),
            data: event.data.clone(),
            room: room.clone(),
            offset,
            event_id: event.event_id.to_string(),
            timestamp,
            snapshot: false,
            skipped: 0,
        }));
        let event_id = event.event_id.clone();
        Self { offset, timestamp, kind: event.kind.clone(), key, event_id, text: text.into() }
    }
}

impl StoredEvent {
    /// Encodes `event` as number `offset` of `room`.
    pub fn new(event: &NewEvent, room: &RoomName, room_id: u64, offset: Option<u64>, timestamp: Timestamp) -> Self {
        Self::of(Encoded::new(event, room, offset, timestamp), room_id)
    }

    /// `event` in the room that the hub numbers `room_id`.
    pub fn of(event: Encoded, room_id: u64) -> Self {
        let Encoded { offset, timestamp, kind, key, event_id, text } = event;
        let conflation = key.as_ref().map(|key| {
            let mut hasher = HASHER.build_hasher();
            hasher.write_u64(room_id);
            hasher.write(kind.as_bytes());
            hasher.write_u8(0);
            hasher.write(key.as_bytes());
            hasher.finish()
        });
        Self { offset, timestamp, kind, key, conflation, room_id, event_id, text }
    }

    /// Whether `newer` may replace this one (§5, *latest*).
    pub fn same_key(&self, newer: &Self) -> bool {
        self.room_id == newer.room_id && self.kind == newer.kind && self.key.is_some() && self.key == newer.key
    }
}
