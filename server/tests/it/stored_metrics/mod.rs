//! The stored metrics: each store by the same rules, and what clients and the API get of them.

mod api;
mod closed_database;
mod durable;
mod store;

use osbackend_server::metrics::{
    Backlog, Keep, MemoryBacklog, MetricQuery, MetricStore, Point,
    memory::MemoryMetrics,
    postgres::{DatabaseUrl, PostgresMetrics, prepare},
    sqlite::{self, SqliteMetrics},
};
use std::sync::Arc;

use crate::support::{Postgres, TempDir};

type Record = dyn Fn(&[Point]) + Send + Sync;

/// A store with a way to put points into it.
struct Store {
    store: Arc<dyn MetricStore>,
    record: Box<Record>,
    /// Dropped after the store.
    _of: Box<dyn std::any::Any + Send + Sync>,
}

fn memory() -> Store {
    let memory = MemoryMetrics::default();
    let recording = memory.clone();
    let record = move |points: &[Point]| points.iter().for_each(|point| recording.record(point.clone()));
    Store { store: Arc::new(memory), record: Box::new(record), _of: Box::new(()) }
}

fn file(keep: Keep) -> Store {
    let folder = TempDir::new();
    let path = folder.path().join("metrics.db");
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer.pragma_update(None, "journal_mode", "WAL").unwrap();
    writer.pragma_update(None, "synchronous", "NORMAL").unwrap();
    writer.execute_batch(sqlite::SCHEMA).unwrap();
    let writer = std::sync::Mutex::new(writer);
    let record = move |points: &[Point]| {
        let mut writer = writer.lock().unwrap();
        let transaction = writer.transaction().unwrap();
        sqlite::record(&transaction, points).unwrap();
        transaction.commit().unwrap();
    };
    let store = SqliteMetrics::new(move || rusqlite::Connection::open(&path), keep);
    Store { store: Arc::new(store), record: Box::new(record), _of: Box::new(folder) }
}

async fn postgres(server: &Postgres, keep: Keep) -> Store {
    prepare(&DatabaseUrl::parse(&server.url(), None).unwrap()).await.unwrap();
    unprepared(server, keep)
}

/// As a server is that was started without a look at its database.
fn unprepared(server: &Postgres, keep: Keep) -> Store {
    let backlog = Arc::new(MemoryBacklog::default());
    let url = DatabaseUrl::parse(&server.url(), None).unwrap();
    let waiting: Arc<dyn Backlog> = backlog.clone();
    let store = PostgresMetrics::start(&url, waiting, keep).unwrap();
    let record = move |points: &[Point]| points.iter().for_each(|point| backlog.record(point.clone()));
    Store { store: Arc::new(store), record: Box::new(record), _of: Box::new(()) }
}

/// The points of the day from then on.
fn all(from_ms: u64) -> MetricQuery {
    MetricQuery::of_range(None, from_ms, from_ms + 86_400_000 - 1)
}
