//! The engine: where streams live longer than their members. The port, and its adapters.
//!
//! The hub keeps each room's [`Stream`] in memory and reads from it; an engine decides where a stream begins and when an event
//! counts as stored. The memory engine stores at once, and lets the hub number ([`Apply::apply`]). A durable one numbers and
//! encodes by itself, commits, and hands exactly what it committed to the hub ([`Apply::deliver`]), in the order of its
//! offsets; only then is anything delivered or acknowledged.

#[cfg(test)]
mod contract;
mod memory;
mod order;
mod retention;
pub mod sqlite;
mod stream;
#[cfg(test)]
mod testing;

pub use memory::MemoryEngine;
pub use order::{Place, Refused, in_order};
pub use retention::{Retentions, SNAPSHOT_MS};
pub use sqlite::SqliteEngine;
pub use stream::{Position, Recovered, Retention, Stream};

use crate::hub::event::{Encoded, NewEvent};
use osbackend_protocol::{Published, RoomName};
use std::sync::Weak;

/// The engine can't serve this now.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The store, for this reason.
    #[error("the event store is unavailable ({0}): try again later")]
    Unavailable(String),
    /// It would pass an event of the same connection that was refused for now.
    #[error("the event that this one names in `after` was refused for now: publish that one again first")]
    Follows,
}

impl EngineError {
    /// The store can't serve, for this reason.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable(why.into())
    }
}

/// Who waits for the outcome of a publish.
pub type Done = Box<dyn FnOnce(Result<Published, EngineError>) + Send>;

/// A publish on its way.
pub struct Pending {
    /// Where to.
    pub room: RoomName,
    /// What.
    pub event: NewEvent,
    /// The server's clock, in milliseconds since 1970.
    pub now_ms: u64,
    /// Its place in the order of its connection's events, where it has one.
    pub place: Option<Place>,
    /// Told once; a refusal by [`Pending::refuse`].
    pub done: Done,
}

/// A publish that an engine has committed.
pub struct Stored {
    /// Where to.
    pub room: RoomName,
    /// What is delivered; `None` where it was published before with the same idempotency key.
    pub event: Option<Encoded>,
    /// The answer.
    pub published: Published,
    /// Told once.
    pub done: Done,
}

/// What engines do to the hub.
pub trait Apply {
    /// Numbers the events, appends them to their rooms' streams and hands them to the members, all under the room's lock, in
    /// this order, and tells each one's `done`. What goes to one room in a row reaches each member at once.
    fn apply(&self, pending: Vec<Pending>);

    /// As [`Self::apply`], for events that the engine has numbered. A room that isn't in memory has no members: its stream
    /// is read from the engine when it is opened, with these events. So is one that is opened between commit and this call,
    /// which is why what a stream holds already is not delivered again.
    fn deliver(&self, stored: Vec<Stored>);
}

/// Where streams live.
pub trait Engine: Send + Sync + 'static {
    /// Its name in the status (§9).
    fn name(&self) -> &'static str;

    /// The hub that will be told of commits; called once, before anything else.
    fn attach(&self, _hub: Weak<dyn Apply + Send + Sync>) {}

    /// The stream of a room that is not in memory; the hub numbers the room `id`. Nothing else is called for this room meanwhile.
    fn open(&self, room: &RoomName, id: u64) -> Result<Stream, EngineError>;

    /// The epoch of a room that is not in memory and of which nothing is stored: asked by who only reads, so that nothing is kept of
    /// the question. `None` where something is stored, and the room is to be opened.
    fn vacant(&self, _room: &RoomName) -> Result<Option<String>, EngineError> {
        Ok(None)
    }

    /// Stores what of `pending` is [in order](in_order) and then applies it; or [refuses](Pending::refuse) it. May return before
    /// that is done.
    fn publish(&self, pending: Vec<Pending>, hub: &dyn Apply);

    /// Whether it can serve now: what `/readyz` asks (§9).
    fn ready(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// The room's stream was dropped from memory, with `last` as the offset of its newest event.
    fn closed(&self, room: &RoomName, last: u64);

    /// Whether a stream that is dropped from memory can be opened again as it was.
    fn keeps_streams(&self) -> bool {
        false
    }

    /// Stores what was taken, and closes files. What is published later is refused.
    fn stop(&self) {}
}
