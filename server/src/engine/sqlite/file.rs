//! The data directory and its file: taken by one process, opened, and asked whether its streams are still those that clients know.
//!
//! A stream keeps its epoch only while nothing that was delivered under it can be missing. After `kill -9` the file has every
//! commit. After a power loss it may lack the last ones (unless `SQLITE_SYNC=full`), a copy that was put back lacks what came
//! after it was made, and a log that was deleted or damaged takes its commits with it: then all streams begin a new lineage,
//! which is a part of every epoch.

use super::{
    SqliteOptions, SyncMode,
    error::OpenError,
    lock::{LockFile, Noted},
    schema,
};
use crate::private;
use rusqlite::{Connection, OptionalExtension, ToSql, types::FromSql};
use std::path::{Path, PathBuf};

/// The database's name in the data directory.
pub(super) const FILE: &str = "osbackend.db";
/// A file up to this size is read whole at the start, to find damage before clients do. In bytes.
const CHECK_UP_TO: u64 = 64 * 1024 * 1024;

/// The open file.
pub(super) struct DataFile {
    pub(super) path: PathBuf,
    /// For the one writer.
    pub(super) connection: Connection,
    /// A part of every epoch.
    pub(super) lineage: String,
    /// Of rooms that are new, or were forgotten.
    pub(super) generation: i64,
    /// Released when dropped.
    pub(super) lock: LockFile,
}

impl DataFile {
    /// Takes the directory and opens the file in it; both are made where they don't exist.
    pub(super) fn open(options: &SqliteOptions) -> Result<Self, OpenError> {
        let lock = LockFile::take(&options.dir)?;
        let path = options.dir.join(FILE);
        // SQLite gives the log and the index the rights of the file.
        let made = if path.exists() { Ok(()) } else { private::file(&path).map(|_| ()) };
        let mut of_file = ["", "-wal", "-shm", "-journal"].iter();
        let closed = made.and_then(|()| of_file.try_for_each(|end| private::existing(&options.dir.join(format!("{FILE}{end}")))));
        closed.map_err(|error| OpenError::Directory { dir: options.dir.clone(), error })?;
        let connection = connect(&path)
            .and_then(|connection| prepare(&connection).map(|()| connection))
            .map_err(|error| OpenError::of(path.clone(), &error))?;
        let mut file = Self { path, connection, lineage: String::new(), generation: 0, lock };
        file.check()?;
        schema::migrate(&mut file.connection, &file.path)?;
        file.identify(options)?;
        if let Some(pages) = options.max_pages {
            let set = file.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()));
            set.map_err(|error| OpenError::of(file.path.clone(), &error))?;
        }
        let sync = if options.sync == SyncMode::Full { "FULL" } else { "NORMAL" };
        file.connection.pragma_update(None, "synchronous", sync).map_err(|error| OpenError::of(file.path.clone(), &error))?;
        Ok(file)
    }

    fn check(&self) -> Result<(), OpenError> {
        let corrupt = |detail| OpenError::Corrupt { file: self.path.clone(), detail };
        let small = std::fs::metadata(&self.path).is_ok_and(|file| file.len() <= CHECK_UP_TO);
        if !small {
            return Ok(());
        }
        match self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)) {
            Ok(found) if found == "ok" => Ok(()),
            Ok(found) => Err(corrupt(found.replace('\n', " "))),
            Err(error) => Err(OpenError::of(self.path.clone(), &error)),
        }
    }

    /// Finds out whether the streams go on, and notes that this process writes from here on.
    fn identify(&mut self, options: &SqliteOptions) -> Result<(), OpenError> {
        let Noted { marks, stored } = self.lock.read();
        let mark = random().map_err(|error| OpenError::Directory { dir: options.dir.clone(), error })?;
        let inode = inode(&self.path);
        let was = |name| get::<String>(&self.connection, name);
        let read = || -> rusqlite::Result<_> {
            let lineage = was("lineage")?;
            let clean = get::<i64>(&self.connection, "clean")? == Some(1);
            let safe =
                clean || was("sync")?.as_deref() == Some("full") || (options.boot.is_some() && was("boot")? == options.boot);
            let same_file = inode.is_none() || get::<i64>(&self.connection, "inode")? == inode;
            let same_mark = was("mark")?.is_some_and(|mark| marks.contains(&mark));
            let held = stored_events(&self.connection)?;
            Ok((lineage, safe && same_file && same_mark && held >= stored, was("mark")?, held))
        };
        let (lineage, goes_on, last_mark, held) = read().map_err(|error| OpenError::of(self.path.clone(), &error))?;
        let known = lineage.is_some();
        self.lineage = match lineage.filter(|_| goes_on) {
            Some(lineage) => lineage,
            None => random().map_err(|error| OpenError::Directory { dir: options.dir.clone(), error })?,
        };
        if known && !goes_on {
            tracing::warn!(
                file = %self.path.display(),
                "the last events may be missing (power loss, a copy was put back, or the log is gone or damaged): all rooms get a \
                 new epoch, clients reload"
            );
        }
        // Beside the file first, with the old one: whichever of the two writes is the last before a crash, they fit. Where they
        // didn't, they must not until the new lineage is written.
        let refused = |error| OpenError::Directory { dir: options.dir.clone(), error };
        let both = [mark.as_str(), last_mark.as_deref().unwrap_or_default()];
        self.lock.write(stored, if goes_on { &both } else { &both[..1] }).map_err(refused)?;
        let write = || -> rusqlite::Result<()> {
            let transaction = self.connection.unchecked_transaction()?;
            put(&transaction, "lineage", &self.lineage)?;
            put(&transaction, "mark", &mark)?;
            put(&transaction, "clean", &0)?;
            put(&transaction, "boot", &options.boot)?;
            put(&transaction, "inode", &inode)?;
            put(&transaction, "sync", if options.sync == SyncMode::Full { &"full" } else { &"normal" })?;
            transaction.commit()
        };
        write().map_err(|error| OpenError::of(self.path.clone(), &error))?;
        self.lock.write(held, &[&mark]).map_err(refused)?;
        let generation = get(&self.connection, "generation").map_err(|error| OpenError::of(self.path.clone(), &error))?;
        self.generation = generation.unwrap_or(0);
        Ok(())
    }
}

/// Another connection to the file.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Only the checkpoint and the writer can meet, for moments.
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // Before the first table is made; later it has no effect.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // The note that this process writes must not be lost: FULL until that is done.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // `checkpoint.rs` does it.
    connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -32_000)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// A value of the table `meta`.
pub(super) fn get<T: FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<Option<T>> {
    let value = connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get::<_, Option<T>>(0))
        .optional();
    Ok(value?.flatten())
}

/// Sets a value of the table `meta`.
pub(super) fn put(connection: &Connection, name: &str, value: &dyn ToSql) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?.execute((name, value)).map(|_| ())
}

/// Adds a room's events to those that [`stored_events`] counts although their room is gone; before its row is deleted.
pub(super) fn note_forgotten(connection: &Connection, room: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta (name, value) SELECT 'forgotten', offset FROM rooms WHERE id = ?1 \
               ON CONFLICT (name) DO UPDATE SET value = value + excluded.value";
    connection.prepare_cached(sql)?.execute([room]).map(|_| ())
}

/// How many events were ever numbered in this file.
fn stored_events(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT COALESCE((SELECT sum(offset) FROM rooms), 0) \
               + COALESCE((SELECT value FROM meta WHERE name = 'forgotten'), 0)";
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

fn random() -> std::io::Result<String> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}

/// Tells a file from a copy of it.
#[cfg(unix)]
fn inode(path: &Path) -> Option<i64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|file| file.ino().cast_signed())
}

#[cfg(not(unix))]
fn inode(_: &Path) -> Option<i64> {
    None
}

/// The system's boot, where it has a name: commits of the same boot are all there.
pub(super) fn boot_id() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}
