//! Delivers notifications: one task a lane, each attempt signed anew, with the same delivery id until one succeeds.

use super::{
    client::{CallError, Client},
    kind::Kind,
    queue::{LANES, Notice, Queue, backoff},
    stats::HookStats,
};
use std::{sync::Arc, time::Duration};

/// Attempts for one notification. The time in which the breaker is open counts as none.
const MAX_ATTEMPTS: u32 = 8;

/// Delivers what comes into `queue`, until the runtime ends or `client` is gone.
pub(super) fn spawn(
    runtime: &tokio::runtime::Handle,
    queue: &Arc<Queue>,
    client: &Arc<Client>,
    stats: &Arc<HookStats>,
    (first, most): (Duration, Duration),
) -> Vec<tokio::task::AbortHandle> {
    let deliver = |lane| {
        let (queue, client, stats) = (queue.clone(), client.clone(), stats.clone());
        async move {
            loop {
                let notice = queue.next(lane).await;
                deliver(&notice, &client, &stats, first, most).await;
                queue.done();
            }
        }
    };
    (0..LANES).map(|lane| runtime.spawn(deliver(lane)).abort_handle()).collect()
}

async fn deliver(notice: &Notice, client: &Client, stats: &HookStats, first: Duration, most: Duration) {
    let mut failed = 0;
    loop {
        let error = match client.post(Kind::Notice, &notice.asker, (notice.event, &notice.delivery_id, notice.body.clone())).await
        {
            Ok(_) => return stats.delivered.add(),
            Err(error) => error,
        };
        let wait = match error {
            CallError::Open { retry_after_ms } => Duration::from_millis(retry_after_ms),
            _ => {
                failed += 1;
                if failed >= MAX_ATTEMPTS || !error.is_trouble() {
                    stats.failed.add();
                    let (event, delivery) = (notice.event, &notice.delivery_id);
                    return tracing::warn!(event, delivery, attempts = failed, %error, "a webhook notification was given up");
                }
                stats.retried.add();
                backoff(failed, first, most, random())
            }
        };
        tokio::time::sleep(wait).await;
    }
}

fn random() -> u32 {
    // Without randomness every server waits the whole time.
    getrandom::u32().unwrap_or(0)
}
