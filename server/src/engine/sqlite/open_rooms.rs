//! Which rooms the hub holds in memory, and with which generation: what they were told must not be taken back.
//!
//! A room without events has no row: its epoch is the current generation. Forgetting a room raises that, so that the same
//! room later begins in another epoch. A room in memory is not forgotten, and keeps the generation that it was opened with.

use osbackend_protocol::RoomName;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Shared by the writer and whoever opens rooms.
pub(super) struct OpenRooms {
    inner: Mutex<Inner>,
}

struct Inner {
    generation: i64,
    rooms: HashMap<RoomName, i64>,
}

impl OpenRooms {
    pub(super) fn new(generation: i64) -> Self {
        Self { inner: Mutex::new(Inner { generation, rooms: HashMap::new() }) }
    }

    /// To be called before the room is read; the generation that it has if there is no row of it.
    pub(super) fn open(&self, room: &RoomName) -> i64 {
        let mut inner = self.inner.lock();
        let generation = inner.generation;
        inner.rooms.insert(room.clone(), generation);
        generation
    }

    pub(super) fn close(&self, room: &RoomName) {
        self.inner.lock().rooms.remove(room);
    }

    /// The generation of a room that gets its first event.
    pub(super) fn generation(&self, room: &RoomName) -> i64 {
        let inner = self.inner.lock();
        inner.rooms.get(room).copied().unwrap_or(inner.generation)
    }

    /// Forgets those of `rooms` that are not open. `commit` gets them and the new generation; nothing is opened meanwhile.
    pub(super) fn forget<E>(
        &self,
        mut rooms: Vec<(i64, RoomName)>,
        commit: impl FnOnce(&[(i64, RoomName)], i64) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut inner = self.inner.lock();
        rooms.retain(|(_, room)| !inner.rooms.contains_key(room));
        if rooms.is_empty() {
            return Ok(());
        }
        let generation = inner.generation + 1;
        // Raised even when the commit fails: a number that is skipped does no harm.
        inner.generation = generation;
        commit(&rooms, generation)
    }
}
