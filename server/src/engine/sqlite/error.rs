//! What SQLite and the system refuse, in words that tell what to do: at the start as [`OpenError`], later as [`EngineError`].

use crate::engine::EngineError;
use rusqlite::ErrorCode;
use std::{io, path::PathBuf};

/// Why the data file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory.
    #[error("the data directory {dir} can't be used: {error}. Make it writable for this user, or set DATA_DIR to another")]
    Directory {
        /// Which.
        dir: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Two processes would number the same rooms.
    #[error("the data directory {dir} is in use by another osbackend: stop that one, or set DATA_DIR to another")]
    InUse {
        /// Which.
        dir: PathBuf,
    },
    /// Written by a later version.
    #[error(
        "{file} was written by a newer osbackend (its schema is {found}, this version knows up to {known}): \
         start that version again, or set DATA_DIR to another directory"
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest that this version knows.
        known: i64,
    },
    /// No database, or a broken one.
    #[error(
        "{file} is damaged ({detail}): restore it from a backup, or move it and its -wal file away to begin with nothing \
         (clients then get new epochs)"
    )]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What was found.
        detail: String,
    },
    /// It can be read and not written.
    #[error("{file} can't be written: make it and its directory writable for this user, or set DATA_DIR to another directory")]
    ReadOnly {
        /// The file.
        file: PathBuf,
    },
    /// No space.
    #[error("the disk of {file} is full: free some space, or set DATA_DIR to a directory on another disk")]
    Full {
        /// The file.
        file: PathBuf,
    },
    /// Anything else.
    #[error("{file} can't be opened: {detail}")]
    Other {
        /// The file.
        file: PathBuf,
        /// What was said.
        detail: String,
    },
}

impl OpenError {
    /// What SQLite said about `file`.
    pub(super) fn of(file: PathBuf, error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { file, detail: error.to_string() },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => Self::ReadOnly { file },
            Some(ErrorCode::DiskFull) => Self::Full { file },
            _ => Self::Other { file, detail: error.to_string() },
        }
    }
}

/// What a client is told: nothing of paths.
pub(super) fn unavailable(error: &rusqlite::Error) -> EngineError {
    EngineError::Unavailable(match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full".to_owned(),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => "the data file can't be written".to_owned(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "the data file is damaged".to_owned(),
        _ => "the data file refused".to_owned(),
    })
}
