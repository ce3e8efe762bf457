//! The points on their way into a store: by the functions with which the server stores its own, in larger transactions.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use osbackend_server::metrics::postgres::{DatabaseUrl, PostgresMetrics, prepare};
use osbackend_server::metrics::{Backlog, Keep, MetricsError, Point, sqlite};
use tokio::sync::Notify;

use super::series::Series;

/// Points of one transaction in the file. The engine's own are smaller, because events don't come so fast.
const AT_ONCE: u64 = 10_000;
/// Longer than any store takes for 10 million points; it is not what is measured.
const WITHIN: Duration = Duration::from_secs(1800);
const FOREVER: Keep = Keep { raw: None, minutes: None, hours: None };

/// Into the file of the SQLite engine, which a server must have made and left.
pub(super) fn file(path: &Path, series: &Series) -> Result<()> {
    let mut connection = rusqlite::Connection::open(path)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -200_000)?;
    for first in (0..series.points).step_by(AT_ONCE as usize) {
        let points: Vec<Point> = (first..series.points.min(first + AT_ONCE)).map(|n| series.point(n)).collect();
        let transaction = connection.transaction()?;
        sqlite::record(&transaction, &points)?;
        transaction.commit()?;
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// Into a database, by the server's own forwarding.
pub(super) async fn database(url: &str, series: Series) -> Result<()> {
    let url = DatabaseUrl::parse(url, None)?;
    prepare(&url).await?;
    let backlog = Arc::new(Numbered { series, written: AtomicU64::new(0), changed: Notify::new(), told: Notify::new() });
    let waiting: Arc<dyn Backlog> = backlog.clone();
    let store = PostgresMetrics::start(&url, waiting, FOREVER)?;
    let began = Instant::now();
    while backlog.written.load(Ordering::Acquire) < series.points {
        let left = WITHIN.checked_sub(began.elapsed()).context("the database takes too long")?;
        if tokio::time::timeout(left, backlog.told.notified()).await.is_err() {
            bail!(
                "only {} of {} points are in the database after {WITHIN:?}",
                backlog.written.load(Ordering::Acquire),
                series.points
            );
        }
    }
    drop(store);
    Ok(())
}

/// The points as a backlog: made when they are asked for.
struct Numbered {
    series: Series,
    written: AtomicU64,
    /// Never told: all points are there from the beginning.
    changed: Notify,
    told: Notify,
}

impl Backlog for Numbered {
    fn newest(&self) -> Result<u64, MetricsError> {
        Ok(self.series.points)
    }

    fn after(&self, id: u64, most: usize) -> Result<Vec<(u64, Point)>, MetricsError> {
        // Ids begin at 1, numbers at 0.
        Ok((id..self.series.points).take(most).map(|n| (n + 1, self.series.point(n))).collect())
    }

    fn forwarded(&self, through: u64) {
        self.written.store(through, Ordering::Release);
        self.told.notify_one();
    }

    fn changed(&self) -> &Notify {
        &self.changed
    }
}
