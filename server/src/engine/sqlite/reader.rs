//! Opening rooms: a few connections that only read, beside the writer and not hindered by it.

use super::{file::connect, open_rooms::OpenRooms, store::epoch};
use crate::{
    engine::{Retention, Stream},
    hub::event::{Encoded, StoredEvent},
};
use osbackend_protocol::{RoomName, Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension};
use std::{collections::HashMap, path::PathBuf, sync::Arc};

/// Connections that are kept; more are made when more rooms are opened at once.
const KEPT: usize = 8;

/// See the module.
pub(super) struct Readers {
    path: PathBuf,
    lineage: String,
    open: Arc<OpenRooms>,
    free: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, lineage: String, open: Arc<OpenRooms>) -> Self {
        Self { path, lineage, open, free: Mutex::default() }
    }

    /// The room as it is stored; the hub numbers it `id`.
    pub(super) fn open(&self, room: &RoomName, id: u64, retention: Retention) -> rusqlite::Result<Stream> {
        let generation = self.open.open(room);
        let stream = self.with(|connection| self.read(connection, room, id, generation, retention));
        if stream.is_err() {
            self.open.close(room);
        }
        stream
    }

    /// The epoch of a room of which nothing is stored; `None` where something is.
    pub(super) fn vacant(&self, room: &RoomName) -> rusqlite::Result<Option<String>> {
        // Before the look, as in `open`.
        let generation = self.open.generation(room);
        let stored =
            self.with(|connection| connection.prepare_cached("SELECT 1 FROM rooms WHERE name = ?1")?.exists([room.as_str()]))?;
        Ok((!stored).then(|| epoch(&self.lineage, generation)))
    }

    /// Runs `read` with a connection, which is kept unless that fails.
    fn with<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let connection = self.free.lock().pop();
        let connection = match connection {
            Some(connection) => connection,
            None => {
                let connection = connect(&self.path)?;
                connection.pragma_update(None, "query_only", true)?;
                connection
            }
        };
        let result = read(&connection)?;
        let mut free = self.free.lock();
        if free.len() < KEPT {
            free.push(connection);
        }
        Ok(result)
    }

    fn read(
        &self,
        connection: &Connection,
        room: &RoomName,
        id: u64,
        generation: i64,
        retention: Retention,
    ) -> rusqlite::Result<Stream> {
        let row = connection
            .prepare_cached("SELECT id, generation, offset, first FROM rooms WHERE name = ?1")?
            .query_row([room.as_str()], |row| {
                Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
            })
            .optional()?;
        let Some((row, generation, offset, first)) = row else {
            return Ok(Stream::new(epoch(&self.lineage, generation), retention));
        };
        // What is committed between the two reads is in the events and not in the row: the events count.
        let mut statement = connection
            .prepare_cached("SELECT offset, at, kind, key, event_id, text FROM events WHERE room = ?1 ORDER BY offset")?;
        let mut rows = statement.query([row])?;
        let mut events = Vec::new();
        let mut kinds: HashMap<String, Arc<str>> = HashMap::new();
        while let Some(row) = rows.next()? {
            let kind = row.get_ref(2)?.as_str()?;
            let kind = match kinds.get(kind) {
                Some(kind) => kind.clone(),
                None => kinds.entry(kind.to_owned()).or_insert(kind.into()).clone(),
            };
            let event = Encoded {
                offset: Some(row.get::<_, i64>(0)?.cast_unsigned()),
                timestamp: Timestamp(row.get::<_, i64>(1)?.cast_unsigned()),
                kind,
                key: row.get_ref(3)?.as_str_or_null()?.map(Box::from),
                event_id: row.get_ref(4)?.as_str()?.into(),
                text: row.get_ref(5)?.as_str()?.into(),
            };
            events.push(Arc::new(StoredEvent::of(event, id)));
        }
        let (first, offset) = (first.cast_unsigned(), offset.cast_unsigned());
        Ok(Stream::restore(epoch(&self.lineage, generation), retention, first, offset, events))
    }
}
