//! From the backlog into the database, in batches, for as long as the store lives. An outage is waited out.

use super::{
    ConnectError, UPKEEP,
    connect::{Connections, told},
    schema, write,
};
use crate::metrics::{Backlog, Keep, MetricsError};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::watch, time::Instant};

/// Points in one transaction.
const BATCH: usize = 500;
/// Points, and sums of each span, that are deleted in one go.
const EXPIRED_AT_ONCE: u64 = 2_000;
/// Between two of these while there are more.
const BETWEEN_DELETIONS: Duration = Duration::from_millis(50);
/// Between attempts in an outage: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

pub(super) async fn run(connections: Arc<Connections>, backlog: Arc<dyn Backlog>, keep: Keep, written: watch::Sender<u64>) {
    let (mut at, mut pause, mut upkeep_at, mut migrated) = (0, PAUSES.0, Instant::now(), false);
    while !written.is_closed() {
        // Nothing is written into tables that are not known to be ours, and of this version.
        let ready = if migrated { Ok(()) } else { migrate(&connections).await };
        migrated = ready.is_ok();
        if migrated && Instant::now() >= upkeep_at {
            let more = expire(&connections, &keep).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "old metrics could not be deleted from the database");
                false
            });
            // What is to be written goes in between.
            upkeep_at = Instant::now() + if more { BETWEEN_DELETIONS } else { UPKEEP };
        }
        let stepped = match ready {
            Ok(()) => step(&connections, &*backlog, at).await,
            Err(error) => Err(MetricsError(error.to_string())),
        };
        match stepped {
            Ok(Some(through)) => {
                if pause > PAUSES.0 {
                    tracing::info!("metrics are written to the database again");
                }
                (at, pause) = (through, PAUSES.0);
                backlog.forwarded(through);
                written.send_replace(through);
            }
            Ok(None) => {
                tokio::select! {
                    () = backlog.changed().notified() => {}
                    () = written.closed() => return,
                    () = tokio::time::sleep_until(upkeep_at) => {}
                }
            }
            Err(error) => {
                if pause == PAUSES.0 {
                    tracing::error!(%error, "metrics can't be written to the database; they wait until they can");
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = written.closed() => return,
                }
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Writes the next batch; the id of its last point.
async fn step(connections: &Arc<Connections>, backlog: &dyn Backlog, at: u64) -> Result<Option<u64>, MetricsError> {
    let batch = backlog.after(at, BATCH)?;
    let Some((through, _)) = batch.last() else { return Ok(None) };
    let through = *through;
    let points: Vec<_> = batch.into_iter().map(|(_, point)| point).collect();
    let client = connections.get().await.map_err(|error| MetricsError(error.to_string()))?;
    write::record(&client, &points).await.map_err(|error| MetricsError(told(&error)))?;
    client.free();
    Ok(Some(through))
}

async fn migrate(connections: &Arc<Connections>) -> Result<(), ConnectError> {
    let client = connections.get().await?;
    schema::migrate(&client).await?;
    client.free();
    Ok(())
}

/// Whether there may be more to delete.
async fn expire(connections: &Arc<Connections>, keep: &Keep) -> Result<bool, MetricsError> {
    let client = connections.get().await.map_err(|error| MetricsError(error.to_string()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let more = write::expire(&client, keep, now_ms, EXPIRED_AT_ONCE).await.map_err(|error| MetricsError(told(&error)))?;
    if !more {
        write::forget(&client).await.map_err(|error| MetricsError(told(&error)))?;
    }
    client.free();
    Ok(more)
}
