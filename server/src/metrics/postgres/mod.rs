//! Metrics in PostgreSQL (`DATABASE_URL`), for who has one anyway: Supabase's users do.
//!
//! Points come by a [`Backlog`]: they are written in batches, each once however often it is tried, and a question waits for
//! those that were published before it. Charts made with SQL find them in the view `osbackend.metrics`.

mod connect;
mod forward;
mod read;
mod schema;
mod write;

pub use connect::{ConnectError, DatabaseUrl};
pub use schema::SchemaError;

use super::{Answer, Backlog, Keep, MetricQuery, MetricStore, MetricsError, QueryError};
use connect::Connections;
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long a question waits for points that are on their way; then it is answered without them.
const CATCH_UP: Duration = Duration::from_secs(2);
/// Between two deletions of what is over its age.
const UPKEEP: Duration = Duration::from_secs(300);
/// Questions that are answered at once; others wait for their turn.
const READING: usize = 2;

/// A text as PostgreSQL can hold it: it knows no NUL.
fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// A database.
pub struct PostgresMetrics {
    connections: Arc<Connections>,
    backlog: Arc<dyn Backlog>,
    keep: Keep,
    /// Points up to this one are written.
    written: watch::Receiver<u64>,
}

impl PostgresMetrics {
    /// Begins to write what is in `backlog`; an outage is waited out, from the beginning on. To be called in a tokio runtime;
    /// the writing ends when the store is dropped. See [`prepare`].
    ///
    /// # Errors
    /// There is no TLS to be had.
    pub fn start(url: &DatabaseUrl, backlog: Arc<dyn Backlog>, keep: Keep) -> Result<Self, ConnectError> {
        let (connections, writing) = (Connections::new(url, READING)?, Connections::new(url, 1)?);
        let (tell, written) = watch::channel(0);
        tokio::spawn(forward::run(writing, backlog.clone(), keep, tell));
        Ok(Self { connections, backlog, keep, written })
    }
}

/// Connects, and makes or upgrades the tables: so that a start tells what is wrong.
///
/// # Errors
/// The database can't be reached or used.
pub async fn prepare(url: &DatabaseUrl) -> Result<(), ConnectError> {
    let client = Connections::new(url, 1)?.get().await?;
    Ok(schema::migrate(&client).await?)
}

impl MetricStore for PostgresMetrics {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn query(&self, query: MetricQuery, now_ms: u64) -> Answer {
        let (connections, backlog, keep, mut written) =
            (self.connections.clone(), self.backlog.clone(), self.keep, self.written.clone());
        Box::pin(async move {
            // What the client may have seen live is in the answer: a chart has no seam between history and events.
            let newest = backlog.newest()?;
            let _ = tokio::time::timeout(CATCH_UP, written.wait_for(|written| *written >= newest)).await;
            let answer = async {
                let wrong = |error: ConnectError| MetricsError(error.to_string());
                let client = connections.get().await.map_err(wrong)?.reading().await.map_err(wrong)?;
                // What runs there ends with this question, whether it is answered or nobody waits for it any more.
                let cancel = client.cancel_unless_done();
                let answer = read::query(&client, query, &keep, now_ms).await;
                if !matches!(answer, Err(QueryError::TooLarge { .. })) {
                    cancel.done();
                }
                let answer = answer?;
                client.done().await.map_err(wrong)?;
                Ok(answer)
            };
            // Where the database is and what it says is for the log, and not for every client.
            answer.await.map_err(|error| match error {
                QueryError::Unavailable(error) => {
                    tracing::warn!(%error, "metrics can't be read from the database");
                    MetricsError("the database can't be used now".to_owned()).into()
                }
                other => other,
            })
        })
    }
}
