//! Which engine and which metrics store the settings ask for, opened and joined: points are written where events are.

use crate::{
    clock::Clock,
    config::{Config, EngineKind},
    engine::{
        Engine, MemoryEngine, Retentions, SqliteEngine,
        sqlite::{DropThere, OpenError, SqliteOptions, read_only},
    },
    metrics::{
        Backlog, Desk, Keep, MemoryBacklog, MetricStore, TextNumbers, Watched,
        memory::MemoryMetrics,
        postgres::{ConnectError, DatabaseUrl, PostgresMetrics},
        sqlite::{InThisFile, PointSink, SqliteBacklog, SqliteMetrics},
    },
};
use std::sync::Arc;

/// What is kept can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The data directory or its file.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The database of the metrics.
    #[error(transparent)]
    Database(#[from] ConnectError),
}

/// The database that the settings name for the metrics, if they do.
///
/// # Errors
/// The address or the file of its authority can't be used.
pub fn database(config: &Config) -> Result<Option<DatabaseUrl>, ConnectError> {
    let engine = &config.engine;
    engine.database_url.as_ref().map(|url| DatabaseUrl::parse(url.reveal(), engine.database_ca.as_deref())).transpose()
}

/// Where events go, and where points are read.
pub(crate) type Opened = (Box<dyn Engine>, Desk);

/// Opens both; to be called in a tokio runtime.
pub(crate) fn open(config: &Config, process: &str, retentions: Retentions, clock: &Clock) -> Result<Opened, StorageError> {
    let engine = &config.engine;
    let keep = Keep { raw: engine.metrics_raw, minutes: engine.metrics_minutes, hours: engine.metrics_hours };
    let database = database(config)?;
    let sqlite = |sink: Arc<dyn PointSink>| {
        let clock = clock.clone();
        let options = SqliteOptions::new(&engine.data_dir, retentions.clone(), Arc::new(move || clock.wall_ms()));
        let deliver_there = tokio::runtime::Handle::try_current()
            .ok()
            .map(|runtime| -> DropThere { Arc::new(move |turn| drop(runtime.spawn(async move { drop(turn) }))) });
        SqliteEngine::start(SqliteOptions { sync: engine.sync, points: Some(sink), deliver_there, ..options })
    };
    let memory = || MemoryEngine::new(process.to_owned(), retentions.clone());
    let reader = || {
        let dir = engine.data_dir.clone();
        move || read_only(&dir)
    };
    let text_numbers = Arc::new(TextNumbers::default());
    let look = text_numbers.clone();
    let (engine, metrics): (Box<dyn Engine>, Arc<dyn MetricStore>) = match (engine.kind, database) {
        (EngineKind::Memory, None) => {
            let metrics = MemoryMetrics::default();
            let points = metrics.clone();
            (
                Box::new(memory().with_points(move |point| {
                    look.look(&point);
                    points.record(point);
                })),
                Arc::new(metrics),
            )
        }
        (EngineKind::Memory, Some(url)) => {
            let backlog = Arc::new(MemoryBacklog::default());
            let points = backlog.clone();
            let metrics = PostgresMetrics::start(&url, backlog, keep)?;
            (
                Box::new(memory().with_points(move |point| {
                    look.look(&point);
                    points.record(point);
                })),
                Arc::new(metrics),
            )
        }
        (EngineKind::Sqlite, None) => {
            let engine = sqlite(Arc::new(Watched(Arc::new(InThisFile::new(keep)), look)))?;
            (Box::new(engine), Arc::new(SqliteMetrics::new(reader(), keep)))
        }
        (EngineKind::Sqlite, Some(url)) => {
            let backlog = Arc::new(SqliteBacklog::new(reader()));
            let engine = sqlite(Arc::new(Watched(backlog.clone(), look)))?;
            let waiting: Arc<dyn Backlog> = backlog;
            (Box::new(engine), Arc::new(PostgresMetrics::start(&url, waiting, keep)?))
        }
    };
    Ok((engine, Desk::new(metrics, text_numbers)))
}
