//! `osbackend.lock`: held by the one process that uses the directory, and what it notes beside the database: who wrote last,
//! and how many events were committed.
//!
//! SQLite takes a log that ends too early, or is gone, for all there ever was. The count tells: it is written after each commit
//! and before anything of it is delivered, so that a database with fewer events has lost some.

use super::error::OpenError;
use crate::private;
use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::Path,
};

/// The file's name in the data directory.
const FILE: &str = "osbackend.lock";
/// Goes before the count.
const STORED: &str = "stored:";

/// The file, locked until it is dropped.
pub(super) struct LockFile {
    file: File,
    /// Events that were committed under this lineage and those before it.
    stored: u64,
    /// Whether the last attempt to note that failed.
    failing: bool,
}

/// What the last process noted.
pub(super) struct Noted {
    /// Its mark, and maybe the one before.
    pub(super) marks: Vec<String>,
    /// Events that were committed, at least.
    pub(super) stored: u64,
}

impl LockFile {
    /// Takes `dir`, which is made where it doesn't exist.
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let refused = |error| OpenError::Directory { dir: dir.to_owned(), error };
        private::directory(dir).map_err(refused)?;
        let path = dir.join(FILE);
        let file = private::file(&path).map_err(refused)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, stored: 0, failing: false }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(error)) => Err(refused(error)),
        }
    }

    /// What the last process noted. What can't be read is no mark, and then the streams begin anew.
    pub(super) fn read(&mut self) -> Noted {
        let mut text = String::new();
        let _ = self.file.rewind().and_then(|()| self.file.read_to_string(&mut text));
        let (mut marks, mut stored) = (Vec::new(), 0);
        for word in text.split_whitespace() {
            match word.strip_prefix(STORED) {
                // A file of an earlier version has no count. One that is damaged fits no database.
                Some(count) => stored = count.parse().unwrap_or(u64::MAX),
                None => marks.push(word.to_owned()),
            }
        }
        Noted { marks, stored }
    }

    /// Notes these marks, and that `stored` events are committed; on the disk when it returns.
    pub(super) fn write(&mut self, stored: u64, marks: &[&str]) -> io::Result<()> {
        self.stored = stored;
        let text = format!("{}{}\n", self.count(), marks.join("\n"));
        // Over what is there, and cut afterwards: there is no moment at which the file has no mark.
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(text.len() as u64)?;
        self.file.sync_data()
    }

    /// Notes that so many events more are committed: in the system's memory, which outlives the process.
    pub(super) fn committed(&mut self, events: u64) {
        if events == 0 {
            return;
        }
        self.stored += events;
        let text = self.count();
        let noted = self.file.rewind().and_then(|()| self.file.write_all(text.as_bytes()));
        if let Err(error) = &noted
            && !self.failing
        {
            // The events are stored all the same; what is missing is the proof, should the log be lost as well.
            tracing::warn!(%error, "{FILE} can't be written: a loss of the database's log would not be noticed");
        }
        self.failing = noted.is_err();
    }

    /// Always as long, at the file's beginning.
    fn count(&self) -> String {
        format!("{STORED}{:020}\n", self.stored)
    }
}
