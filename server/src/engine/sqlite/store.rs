//! One transaction: every event of a batch gets its number and its row, or none does.
//!
//! Only the writer has a [`Store`], so what it remembers of rooms is what the file has.

use super::open_rooms::OpenRooms;
use crate::{
    engine::{Pending, Retentions},
    hub::event::{Encoded, NewEvent},
    metrics::{Point, sqlite::PointSink},
};
use osbackend_protocol::{Published, RoomName, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use std::{collections::HashMap, sync::Arc};

/// How long a publish with an idempotency key is remembered, in milliseconds.
pub(super) const IDEMPOTENCY_MS: u64 = 300_000;
/// Rooms that are remembered between batches.
const ROOMS: usize = 50_000;

/// The writer's side of the file.
pub(super) struct Store {
    pub(super) connection: Connection,
    pub(super) lineage: String,
    pub(super) retention: Retentions,
    pub(super) open: Arc<OpenRooms>,
    rooms: HashMap<RoomName, RoomState>,
    /// Rooms of the batch whose rows differ from what is remembered.
    touched: Vec<RoomName>,
    /// Idempotency keys of the batch.
    keys: usize,
    /// Where the metrics' points go.
    pub(super) sink: Option<Arc<dyn PointSink>>,
    /// Those of the batch.
    points: Vec<Point>,
}

/// What is to be known of a room to number its next event.
struct RoomState {
    /// `None` before its first row.
    id: Option<i64>,
    generation: i64,
    epoch: Arc<str>,
    /// Of the newest event.
    offset: i64,
    /// Offset of the oldest event of the history.
    first: i64,
    at: u64,
    keeps: i64,
    touched: bool,
}

/// An event as it was committed; nothing where it was published before.
pub(super) type Written = (Option<Encoded>, Published);

/// The name of an epoch.
pub(super) fn epoch(lineage: &str, generation: i64) -> String {
    format!("{lineage}-{generation}")
}

impl Store {
    pub(super) fn new(
        connection: Connection,
        lineage: String,
        retention: Retentions,
        open: Arc<OpenRooms>,
        sink: Option<Arc<dyn PointSink>>,
    ) -> Self {
        let (rooms, touched, points) = (HashMap::new(), Vec::new(), Vec::new());
        Self { connection, lineage, retention, open, rooms, touched, keys: 0, sink, points }
    }

    /// Commits `batch`, all of it or nothing.
    pub(super) fn write(&mut self, batch: &[Pending]) -> rusqlite::Result<Vec<Written>> {
        if self.rooms.len() > ROOMS {
            self.rooms.clear();
        }
        let result = self.transaction(|store| {
            let written = batch.iter().map(|pending| store.one(pending)).collect::<rusqlite::Result<Vec<_>>>()?;
            store.write_rooms()?;
            if let Some(sink) = &store.sink
                && !store.points.is_empty()
            {
                sink.record(&store.connection, &store.points)?;
            }
            if let Some(last) = batch.last() {
                store.expire_keys(last.now_ms, 2 * store.keys)?;
            }
            Ok(written)
        });
        self.touched.clear();
        self.keys = 0;
        if let Some(sink) = &self.sink
            && !self.points.is_empty()
        {
            if result.is_ok() {
                sink.committed();
            }
            self.points.clear();
        }
        if result.is_err() {
            // Nothing of it is in the file.
            self.rooms.clear();
        }
        result
    }

    /// Runs `work` in a transaction; nothing of it stays when it fails.
    pub(super) fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let result = work(self).and_then(|done| self.connection.prepare_cached("COMMIT")?.execute([]).map(|_| done));
        if result.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        result
    }

    /// What is remembered of rooms may differ from the file from here on.
    pub(super) fn forget_states(&mut self) {
        self.rooms.clear();
    }

    /// An event that is kept nowhere needs no transaction.
    pub(super) fn pass(&mut self, pending: &Pending) -> rusqlite::Result<Written> {
        let Self { connection, lineage, retention, open, rooms, .. } = self;
        let state = room_state(connection, lineage, retention, open, rooms, &pending.room)?;
        let timestamp = Timestamp(pending.now_ms);
        let published = published(pending, None, &state.epoch, &pending.event.event_id);
        Ok((Some(Encoded::new(&pending.event, &pending.room, None, timestamp)), published))
    }

    fn one(&mut self, pending: &Pending) -> rusqlite::Result<Written> {
        let Pending { room, event, now_ms, .. } = pending;
        let (now, now_sql) = (Timestamp(*now_ms), now_ms.cast_signed());
        let Self { connection, lineage, retention, open, rooms, touched, keys, sink, points } = self;
        let state = room_state(connection, lineage, retention, open, rooms, room)?;
        if let (Some(key), Some(id)) = (&event.idempotency_key, state.id)
            && let Some((offset, event_id)) = published_before(connection, id, key, *now_ms)?
        {
            return Ok((None, published(pending, offset, &state.epoch, &event_id)));
        }
        if event.ephemeral && event.idempotency_key.is_none() {
            let published = published(pending, None, &state.epoch, &event.event_id);
            return Ok((Some(Encoded::new(event, room, None, now)), published));
        }
        let id = match state.id {
            Some(id) => id,
            None => {
                connection
                    .prepare_cached("INSERT INTO rooms (name, generation, offset, first, at) VALUES (?1, ?2, 0, 1, ?3)")?
                    .execute((room.as_str(), state.generation, now_sql))?;
                *state.id.insert(connection.last_insert_rowid())
            }
        };
        let offset = (!event.ephemeral).then_some(state.offset + 1);
        let encoded = Encoded::new(event, room, offset.map(i64::cast_unsigned), now);
        if let Some(offset) = offset {
            insert(connection, id, offset, state.first, &encoded)?;
            state.offset = offset;
            if sink.is_some()
                && let Some(point) = Point::of_event(room, event, *now_ms)
            {
                points.push(point);
            }
        }
        state.at = *now_ms;
        if !state.touched {
            state.touched = true;
            touched.push(room.clone());
        }
        if let Some(key) = &event.idempotency_key {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO idempotent (room, key, at, offset, event_id) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute((id, key, now_sql, offset, &*event.event_id))?;
            *keys += 1;
        }
        let published = published(pending, encoded.offset, &state.epoch, &event.event_id);
        Ok((Some(encoded), published))
    }

    /// The rows of the rooms of this batch, and what is over their number of events.
    fn write_rooms(&mut self) -> rusqlite::Result<()> {
        for room in std::mem::take(&mut self.touched) {
            let Some(state) = self.rooms.get_mut(&room) else { continue };
            state.touched = false;
            let Some(id) = state.id else { continue };
            // A few at a time: each batch would else touch the oldest pages as well as the newest.
            let slack = (state.keeps / 4).clamp(16, 1024);
            let held = state.offset - state.first + 1;
            if held > state.keeps.saturating_add(slack) {
                let first = state.offset - state.keeps + 1;
                drop_history(&self.connection, id, state.first, first)?;
                state.first = first;
            }
            self.connection.prepare_cached("UPDATE rooms SET offset = ?2, first = ?3, at = ?4 WHERE id = ?1")?.execute((
                id,
                state.offset,
                state.first,
                state.at.cast_signed(),
            ))?;
        }
        Ok(())
    }

    /// Drops up to `most` idempotency keys that are over their time.
    pub(super) fn expire_keys(&self, now_ms: u64, most: usize) -> rusqlite::Result<usize> {
        if most == 0 {
            return Ok(0);
        }
        let before = now_ms.saturating_sub(IDEMPOTENCY_MS).cast_signed();
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = "DELETE FROM idempotent WHERE (room, key) IN \
                   (SELECT room, key FROM idempotent WHERE at < ?1 ORDER BY at LIMIT ?2)";
        self.connection.prepare_cached(sql)?.execute((before, most))
    }
}

fn published(pending: &Pending, offset: Option<u64>, epoch: &str, event_id: &str) -> Published {
    Published { room: pending.room.clone(), offset, epoch: epoch.to_owned(), event_id: event_id.to_owned() }
}

fn room_state<'a>(
    connection: &Connection,
    lineage: &str,
    retention: &Retentions,
    open: &OpenRooms,
    rooms: &'a mut HashMap<RoomName, RoomState>,
    room: &RoomName,
) -> rusqlite::Result<&'a mut RoomState> {
    if !rooms.contains_key(room) {
        let row = connection
            .prepare_cached("SELECT id, generation, offset, first, at FROM rooms WHERE name = ?1")?
            .query_row([room.as_str()], |row| {
                Ok((Some(row.get(0)?), row.get(1)?, row.get(2)?, row.get(3)?, row.get::<_, i64>(4)?))
            })
            .optional()?;
        let (id, generation, offset, first, at) = row.unwrap_or_else(|| (None, open.generation(room), 0, 1, 0));
        let keeps = i64::try_from(retention.of(room).events).unwrap_or(i64::MAX);
        let epoch = epoch(lineage, generation).into();
        let state = RoomState { id, generation, epoch, offset, first, at: at.cast_unsigned(), keeps, touched: false };
        rooms.insert(room.clone(), state);
    }
    Ok(rooms.get_mut(room).expect("it was put there if it was missing"))
}

/// Place and id of an event with this key.
fn published_before(
    connection: &Connection,
    room: i64,
    key: &str,
    now_ms: u64,
) -> rusqlite::Result<Option<(Option<u64>, String)>> {
    let since = now_ms.saturating_sub(IDEMPOTENCY_MS).cast_signed();
    connection
        .prepare_cached("SELECT offset, event_id FROM idempotent WHERE room = ?1 AND key = ?2 AND at >= ?3")?
        .query_row((room, key, since), |row| Ok((row.get::<_, Option<i64>>(0)?.map(i64::cast_unsigned), row.get(1)?)))
        .optional()
}

fn insert(connection: &Connection, room: i64, offset: i64, first: i64, event: &Encoded) -> rusqlite::Result<()> {
    if let Some(key) = &event.key {
        let older: Option<i64> = connection
            .prepare_cached("SELECT offset FROM latest WHERE room = ?1 AND kind = ?2 AND key = ?3")?
            .query_row((room, &*event.kind, &**key), |row| row.get(0))
            .optional()?;
        connection
            .prepare_cached("INSERT OR REPLACE INTO latest (room, kind, key, offset) VALUES (?1, ?2, ?3, ?4)")?
            .execute((room, &*event.kind, &**key, offset))?;
        // It was there for the snapshot only.
        if let Some(older) = older.filter(|older| *older < first) {
            connection.prepare_cached("DELETE FROM events WHERE room = ?1 AND offset = ?2")?.execute((room, older))?;
        }
    }
    connection
        .prepare_cached("INSERT INTO events (room, offset, at, kind, key, event_id, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute((
            room,
            offset,
            event.timestamp.0.cast_signed(),
            &*event.kind,
            event.key.as_deref(),
            &*event.event_id,
            event.text.as_str(),
        ))?;
    Ok(())
}

/// Takes the events from `from` up to, and without, `to` out of the history: the newest of each key stays for the snapshot.
pub(super) fn drop_history(connection: &Connection, room: i64, from: i64, to: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM events WHERE room = ?1 AND offset >= ?2 AND offset < ?3 AND (key IS NULL OR NOT EXISTS ( \
               SELECT 1 FROM latest WHERE latest.room = events.room AND latest.kind = events.kind \
               AND latest.key = events.key AND latest.offset = events.offset))";
    connection.prepare_cached(sql)?.execute((room, from, to)).map(|_| ())
}

/// Whether an event leaves something in the file.
pub(super) fn is_stored(event: &NewEvent) -> bool {
    !event.ephemeral || event.idempotency_key.is_some()
}
