//! The SQLite engine alone: what its file survives, and what it does when it can't be written.

#[cfg(unix)]
mod closed;
mod faults;
mod file;
mod growth;
mod handover;
mod race;

use super::{SqliteEngine, SqliteOptions};
use crate::engine::testing::{Clock, TempDir, TestHub, keep};

fn options(dir: &TempDir, clock: &Clock) -> SqliteOptions {
    let options = SqliteOptions::new(dir.path(), keep(100, 0), clock.function());
    SqliteOptions { boot: Some("first boot".to_owned()), ..options }
}

fn start(options: SqliteOptions, clock: &Clock) -> TestHub {
    TestHub::new(Box::new(SqliteEngine::start(options).expect("starts")), clock.clone())
}
