//! Old points are deleted while others publish and ask: what these notice of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use osbackend_client::Client;
use serde_json::json;
use tokio::task::JoinSet;

use super::ask::{Asker, questions};
use super::series::{Series, name};
use crate::token;
use crate::victim::Running;

/// Of so many publishes one is a metric's, the others are events of rooms.
const A_METRIC_EACH: u64 = 10;
/// Rooms of the others.
const ROOMS: u64 = 20;
/// Who publishes, in turn: a client has a bound on what waits for its acknowledgement.
const PUBLISHERS: u64 = 8;
/// Asked over and over.
const QUESTIONS: u64 = 100;
/// Before the measured window: connections, first pages.
const WARMUP: Duration = Duration::from_secs(1);

/// What was measured.
pub(super) struct Measured {
    /// From when a publish was due to its acknowledgement.
    pub(super) acknowledged: Vec<Duration>,
    /// How long each question took.
    pub(super) answered: Vec<Duration>,
    /// Points that were published.
    pub(super) points: u64,
}

/// Publishes `rate` events a second for `window`, and asks for days after `since` meanwhile.
pub(super) async fn measure(
    running: &Running,
    secret: &str,
    series: &Series,
    since: u64,
    rate: u64,
    window: Duration,
) -> Result<Measured> {
    let admin = token::sign(secret, "bench-admin", "admin")?;
    let mut clients = Vec::new();
    for _ in 0..PUBLISHERS {
        let (client, _) = Client::builder(&format!("ws://{}/ws", running.ws)).token(admin.clone()).start()?;
        client.settled().await?;
        clients.push(client);
    }
    let asker = Asker::new(running.ws, running.http, secret).await?;
    let (series, asked) = (*series, questions(series, QUESTIONS, since));
    let end = Instant::now() + WARMUP + window;
    let asking = tokio::spawn(async move {
        let mut answered = Vec::new();
        while Instant::now() < end {
            answered.extend(asker.all(&series, &asked[answered.len() % asked.len()..][..1], false).await?);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(answered)
    });
    let began = Instant::now();
    let (mut publishing, mut acknowledged, mut points) = (JoinSet::new(), Vec::new(), 0);
    for n in 0.. {
        // Times are given beforehand: a late acknowledgement doesn't hide those that it delays.
        let due = began + Duration::from_nanos(n * 1_000_000_000 / rate);
        if due >= end {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        // The timer's own coarseness is not the server's.
        let due = Instant::now().min(due + Duration::from_millis(2));
        let (client, is_metric) = (clients[(n % PUBLISHERS) as usize].clone(), n % A_METRIC_EACH == 0);
        points += u64::from(is_metric);
        publishing.spawn(async move {
            if is_metric {
                let data =
                    json!({"metric": name(n % 7), "values": {"active": n, "latency": 1.5, "total": n, "region": "eu-west"}});
                client.publish("dashboard:overview", "metric_update", &data).await?;
            } else {
                client.publish(&format!("agent:{}", n % ROOMS), "bench_event", &json!({"n": n, "pad": "x".repeat(100)})).await?;
            }
            anyhow::Ok((due, due.elapsed()))
        });
        while let Some(done) = publishing.try_join_next() {
            acknowledged.push(done??);
        }
    }
    while let Some(done) = publishing.join_next().await {
        acknowledged.push(done??);
    }
    let answered = asking.await.context("the task that asks")??;
    let measured = acknowledged.into_iter().filter(|(due, _)| *due >= began + WARMUP).map(|(_, took)| took);
    Ok(Measured { acknowledged: measured.collect(), answered, points })
}
