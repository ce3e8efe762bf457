//! Publishes into one room at a steady rate, each event until it is taken, numbered without holes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use osbackend_client::{Client, RequestError};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::EVENT;
use super::member::Shared;
use crate::cli::http::{Api, CallError};

/// Between two attempts at the same event.
const PAUSE: Duration = Duration::from_millis(200);
/// An event that isn't taken for so long is given up, and its room with it.
const PATIENCE: Duration = Duration::from_secs(15);

/// The way that the events take.
#[derive(Clone)]
pub(super) enum Via {
    Http(Api),
    Socket(Client),
}

/// What one room is given.
pub(super) struct Publisher {
    pub(super) via: Via,
    pub(super) room: String,
    /// Between two events.
    pub(super) every: Duration,
    pub(super) padding: Arc<str>,
    pub(super) shared: Arc<Shared>,
    pub(super) published: Arc<AtomicU64>,
}

impl Publisher {
    /// Publishes until `stop`; how many events the server took, or why it takes no more.
    pub(super) async fn run(self, until: Instant, mut stop: watch::Receiver<bool>) -> (u64, Option<String>) {
        let mut ticks = tokio::time::interval(self.every);
        // A slow answer is made up for, so that the rate is what was asked for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut seq = 0;
        loop {
            let due = tokio::select! {
                due = ticks.tick() => due,
                _ = stop.changed() => return (seq, None),
            };
            if due >= until || Instant::now() >= until {
                return (seq, None);
            }
            if let Err(error) = self.publish(seq + 1).await {
                return (seq, Some(error));
            }
            seq += 1;
            self.published.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn publish(&self, seq: u64) -> Result<(), String> {
        let give_up = Instant::now() + PATIENCE;
        let mut body = json!({
            "room": self.room,
            "type": EVENT,
            "data": {"seq": seq, "sentUs": 0, "padding": &*self.padding},
            // An attempt that failed may have been carried out: the server knows it again by this.
            "idempotencyKey": format!("{}-{seq}", self.room),
        });
        body["data"]["sentUs"] = self.shared.now_us().into();
        loop {
            let failed = match &self.via {
                Via::Http(api) => match api.post("api/ws/broadcast", body.to_string()).await {
                    Ok(_) => return Ok(()),
                    Err(CallError::Refused(refusal)) if !matches!(refusal.status.as_u16(), 429 | 503) => {
                        return Err(refusal.to_string());
                    }
                    Err(error) => error.to_string(),
                },
                Via::Socket(client) => match client.request("publish", &body).await {
                    Ok(_) => return Ok(()),
                    Err(RequestError::Failed(failure))
                        if matches!(&*failure.code, "rate_limited" | "unavailable" | "timeout") =>
                    {
                        failure.message.into_owned()
                    }
                    Err(error) => return Err(error.to_string()),
                },
            };
            if Instant::now() >= give_up {
                return Err(failed);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
