//! The engine: where streams live longer than their members. The port, and its adapters.
//!
//! The hub keeps each room's [`Stream`] in memory and reads from it; an engine decides where a stream begins and when an event
//! counts as stored. The memory engine stores at once; a durable one calls [`Apply::apply`] after its commit, in the order
//! of the publishes of each room, and only then is the event numbered for members and acknowledged.

mod memory;
mod retention;
mod stream;

pub use memory::MemoryEngine;
pub use retention::Retentions;
pub use stream::{Position, Recovered, Retention, Stream};

use crate::hub::event::NewEvent;
use osbackend_protocol::{Published, RoomName};

/// The engine can't serve this now.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the event store is unavailable ({0}): try again later")]
pub struct EngineError(pub String);

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
    /// Told once.
    pub done: Done,
}

/// Numbers stored events, appends them to their rooms' streams and hands them to the members, all under the room's lock.
pub trait Apply {
    /// Does so in this order, and tells each one's `done`. What goes to one room in a row reaches each member at once.
    fn apply(&self, pending: Vec<Pending>);
}

/// Where streams live.
pub trait Engine: Send + Sync + 'static {
    /// Its name in the status (§9).
    fn name(&self) -> &'static str;

    /// The stream of a room that is not in memory.
    fn open(&self, room: &RoomName) -> Result<Stream, EngineError>;

    /// Stores all of `pending` and then applies them; or tells each one's `done` why not.
    fn publish(&self, pending: Vec<Pending>, hub: &dyn Apply);

    /// Whether it can serve now: what `/readyz` asks (§9).
    fn ready(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// The room's stream was dropped from memory, with `last` as the offset of its newest event.
    fn closed(&self, room: &RoomName, last: u64);
}
