//! What keeps the file small: age, the snapshot's bound, forgotten rooms, free pages. A little at a time, between batches.

use super::{
    file::{note_forgotten, put},
    store::{Store, drop_history},
};
use crate::engine::stream::SNAPSHOT_KEYS;
use osbackend_protocol::RoomName;
use rusqlite::OptionalExtension;

/// Rooms that are looked at in one go.
const ROOMS: i64 = 100;
/// Idempotency keys that are dropped in one go, beside those that each batch drops.
const KEYS: usize = 1_000;
/// A room without events keeps its row, and so its epoch, for this long after its last one, in milliseconds.
const FORGET_AFTER_MS: u64 = 7 * 86_400_000;
/// Keys of snapshots that are forgotten in one go, or those of one room.
const FORGOTTEN_KEYS: i64 = 5_000;
/// Free pages that are not worth giving back.
const FREE_PAGES: i64 = 1024;
/// Pages given back in one go.
const VACUUM_PAGES: i64 = 256;

/// Goes round all rooms.
#[derive(Default)]
pub(super) struct Upkeep {
    /// The last room that was looked at.
    at: i64,
}

impl Upkeep {
    /// The next few rooms, keys and pages. Whether there is more to do now: the round isn't over, or there was as much as one
    /// step does.
    pub(super) fn step(&mut self, store: &mut Store, now_ms: u64) -> rusqlite::Result<bool> {
        let points = match store.sink.clone() {
            Some(sink) => store.transaction(|store| sink.upkeep(&store.connection, now_ms))?,
            None => false,
        };
        let keys = store.transaction(|store| store.expire_keys(now_ms, KEYS))?;
        let rooms: Vec<(i64, String, i64, i64, i64)> = store
            .connection
            .prepare_cached("SELECT id, name, offset, first, at FROM rooms WHERE id > ?1 ORDER BY id LIMIT ?2")?
            .query_map((self.at, ROOMS), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let over = rooms.len() < usize::try_from(ROOMS).unwrap_or_default();
        self.at = if over { 0 } else { rooms.last().map_or(0, |room| room.0) };
        let (mut forgotten, mut forgotten_keys) = (Vec::new(), 0);
        let changed = store.transaction(|store| {
            let mut changed = false;
            for (id, name, offset, first, at) in rooms {
                // A name that this version's rules refuse can't be asked for any more.
                let Ok(room) = RoomName::parse(&name) else { continue };
                changed |= expire(store, id, &room, offset, first, now_ms)?;
                let is_older = |age_ms: u64| age_ms > 0 && at.cast_unsigned().saturating_add(age_ms) < now_ms;
                let snapshot_ms = store.retention.snapshot_ms();
                if (is_older(FORGET_AFTER_MS) || is_older(snapshot_ms)) && has_no_history(store, id)? {
                    let keys = snapshot_keys(store, id)?;
                    let is_over = if keys == 0 { is_older(FORGET_AFTER_MS) } else { is_older(snapshot_ms) };
                    // What is too much for now is looked at again in the next round.
                    if is_over && (forgotten.is_empty() || forgotten_keys + keys <= FORGOTTEN_KEYS) {
                        forgotten_keys += keys;
                        forgotten.push((id, room));
                    }
                }
            }
            Ok(changed)
        });
        if changed.as_ref().map_or(true, |changed| *changed) {
            store.forget_states();
        }
        changed?;
        forget(store, forgotten)?;
        let vacuumed = vacuum(store)?;
        Ok(!over || points || keys == KEYS || vacuumed)
    }
}

/// Drops what is over the room's age and the snapshot's bound; whether the room's row changed.
fn expire(store: &Store, id: i64, room: &RoomName, offset: i64, first: i64, now_ms: u64) -> rusqlite::Result<bool> {
    let connection = &store.connection;
    let age_ms = store.retention.of(room).age_ms;
    let oldest = if age_ms == 0 { 0 } else { now_ms.saturating_sub(age_ms).cast_signed() };
    let young: Option<i64> = connection
        .prepare_cached("SELECT offset FROM events WHERE room = ?1 AND offset >= ?2 AND at >= ?3 ORDER BY offset LIMIT 1")?
        .query_row((id, first, oldest), |row| row.get(0))
        .optional()?;
    let young = young.unwrap_or(offset + 1);
    if young > first {
        drop_history(connection, id, first, young)?;
        connection.prepare_cached("UPDATE rooms SET first = ?2 WHERE id = ?1")?.execute((id, young))?;
    }
    let most = i64::try_from(SNAPSHOT_KEYS).unwrap_or(i64::MAX);
    let keys = snapshot_keys(store, id)?;
    if keys > most {
        let limit: i64 = connection
            .prepare_cached("SELECT offset FROM latest WHERE room = ?1 ORDER BY offset LIMIT 1 OFFSET ?2")?
            .query_row((id, keys - most), |row| row.get(0))?;
        connection.prepare_cached("DELETE FROM latest WHERE room = ?1 AND offset < ?2")?.execute((id, limit))?;
        drop_history(connection, id, 0, young.max(first))?;
    }
    Ok(young > first)
}

/// Whether nothing but its snapshot is left of a room.
fn has_no_history(store: &Store, id: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM events WHERE room = ?1 AND offset >= (SELECT first FROM rooms WHERE id = ?1)) \
               AND NOT EXISTS (SELECT 1 FROM idempotent WHERE room = ?1)";
    store.connection.prepare_cached(sql)?.query_row([id], |row| row.get(0))
}

/// Keys of a room's snapshot.
fn snapshot_keys(store: &Store, id: i64) -> rusqlite::Result<i64> {
    store.connection.prepare_cached("SELECT count(*) FROM latest WHERE room = ?1")?.query_row([id], |row| row.get(0))
}

/// Deletes rooms that hold nothing, or a snapshot that is over its time, unless somebody is in them. Should they come back, it is in another epoch.
fn forget(store: &mut Store, rooms: Vec<(i64, RoomName)>) -> rusqlite::Result<()> {
    if rooms.is_empty() {
        return Ok(());
    }
    let open = store.open.clone();
    let result = open.forget(rooms, |rooms, generation| {
        store.transaction(|store| {
            for (id, _) in rooms {
                note_forgotten(&store.connection, *id)?;
                for of_room in [
                    "DELETE FROM latest WHERE room = ?1",
                    "DELETE FROM events WHERE room = ?1",
                    "DELETE FROM rooms WHERE id = ?1",
                ] {
                    store.connection.prepare_cached(of_room)?.execute([id])?;
                }
            }
            put(&store.connection, "generation", &generation)
        })
    });
    store.forget_states();
    result
}

/// Gives free pages back to the system, where a quarter of the file is free; whether it did.
fn vacuum(store: &Store) -> rusqlite::Result<bool> {
    let pragma = |name: &str| store.connection.prepare_cached(name)?.query_row([], |row| row.get::<_, i64>(0));
    let free = pragma("PRAGMA freelist_count")?;
    if free <= FREE_PAGES || free * 4 <= pragma("PRAGMA page_count")? {
        return Ok(false);
    }
    store.connection.execute_batch(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    Ok(true)
}
