//! Moves what the write-ahead log has into the database, beside the writer, so that the log stays small and no commit waits.

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

/// Pages of the log (4 KiB each) from which on it is worth moving them: a page that was written often is moved once.
const BEGIN_PAGES: usize = 4_000;
/// The same, while nobody publishes.
const IDLE_PAGES: usize = 100;
/// From here on the writer finishes what the thread has begun: a log begins anew only when all of it was moved, and
/// under load the writer adds to it as fast as the thread moves.
const FINISH_PAGES: usize = 8_000;

/// The thread, and what the writer tells it.
pub(super) struct Checkpoints {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Pages that the log has.
    pages: AtomicUsize,
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Default)]
struct Wanted {
    checkpoint: bool,
    stop: bool,
}

impl Checkpoints {
    /// Begins to follow the log of `writer`.
    pub(super) fn start(path: PathBuf, writer: &mut Connection) -> rusqlite::Result<Self> {
        let shared = Arc::new(Shared::default());
        let counting = shared.clone();
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            counting.pages.store(usize::try_from(pages).unwrap_or_default(), Ordering::Relaxed);
            Ok(())
        }))?;
        let connection = super::file::connect(&path)?;
        let working = shared.clone();
        let thread = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || working.run(&connection));
        // Without the thread the writer does it all.
        let thread = thread.inspect_err(|error| tracing::warn!(%error, "no thread for checkpoints")).ok();
        Ok(Self { shared, thread })
    }

    /// To be called by the writer after each commit.
    pub(super) fn after_commit(&self, writer: &Connection) {
        let pages = self.shared.pages.load(Ordering::Relaxed);
        if pages < BEGIN_PAGES {
            return;
        }
        let mut wanted = self.shared.wanted.lock();
        // Only one can move at a time, and the thread won't be long.
        if wanted.checkpoint {
            return;
        }
        if pages >= FINISH_PAGES {
            drop(wanted);
            passive(writer);
        } else {
            wanted.checkpoint = true;
            self.shared.changed.notify_one();
        }
    }

    /// To be called by the writer when nobody publishes: a log of some size is moved, so that the file's size shows.
    pub(super) fn when_idle(&self) {
        if self.shared.pages.load(Ordering::Relaxed) >= IDLE_PAGES {
            self.shared.wanted.lock().checkpoint = true;
            self.shared.changed.notify_one();
        }
    }

    /// Ends the thread.
    pub(super) fn stop(mut self) {
        self.shared.wanted.lock().stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread for checkpoints panicked");
        }
    }
}

impl Shared {
    fn run(&self, connection: &Connection) {
        loop {
            {
                let mut wanted = self.wanted.lock();
                while !wanted.checkpoint && !wanted.stop {
                    self.changed.wait(&mut wanted);
                }
                if wanted.stop {
                    return;
                }
            }
            passive(connection);
            self.wanted.lock().checkpoint = false;
        }
    }
}

/// Moves what no reader needs in the log any more.
fn passive(connection: &Connection) {
    let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = done {
        // The commits are in the log all the same; the next attempt may be luckier.
        tracing::debug!(%error, "no checkpoint");
    }
}
