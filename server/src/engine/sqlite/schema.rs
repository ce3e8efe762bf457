//! The tables, and the way to them from every earlier version of the file.

use super::error::OpenError;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// `MIGRATIONS[n]` leads from version n to n + 1; SQLite's `user_version` has the file's. Never changed once released: a new
/// version is a new entry.
///
/// A room's events lie side by side, in the order of their offsets: history and snapshot are one read. Those from `first` on
/// are the history; an earlier one is kept while it is the newest of its key, which `latest` knows.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
    CREATE TABLE rooms (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, generation INTEGER NOT NULL,
        offset INTEGER NOT NULL, first INTEGER NOT NULL, at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE events (
        room INTEGER NOT NULL, offset INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT,
        event_id TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (room, offset)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE latest (
        room INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (room, kind, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE idempotent (
        room INTEGER NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL, offset INTEGER, event_id TEXT NOT NULL,
        PRIMARY KEY (room, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX idempotent_at ON idempotent (at);
",
    crate::metrics::sqlite::SCHEMA,
];

/// The version that this program writes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Brings the file to [`VERSION`], each step whole or not at all.
pub(super) fn migrate(connection: &mut Connection, file: &Path) -> Result<(), OpenError> {
    let refused = |error: rusqlite::Error| OpenError::of(file.to_owned(), &error);
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(refused)?;
    if found > VERSION {
        return Err(OpenError::Newer { file: file.to_owned(), found, known: VERSION });
    }
    for (from, step) in (0..).zip(MIGRATIONS).skip_while(|(from, _)| *from < found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refused)?;
        transaction.execute_batch(step).map_err(refused)?;
        transaction.pragma_update(None, "user_version", from + 1_i64).map_err(refused)?;
        transaction.commit().map_err(refused)?;
    }
    Ok(())
}
