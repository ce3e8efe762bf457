//! Questions to the running server for one day by hour, timed, and each answer checked against what was stored.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use osbackend_client::Client;
use osbackend_protocol::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::series::{DAY, Series, mixed, name};
use crate::token;

/// A day, of one metric or of all.
#[derive(Clone, Copy)]
pub(super) struct Question {
    pub(super) metric: Option<u64>,
    from: u64,
    to: u64,
}

/// `count` different ones: days that begin at midnight, and as many that don't; each twentieth of all metrics.
pub(super) fn questions(series: &Series, count: u64, since: u64) -> Vec<Question> {
    let (first, end) = (since.max(series.begin_ms), series.begin_ms + series.length_ms);
    (0..count)
        .map(|n| {
            let any = first + mixed(n << 8) % (end - first).saturating_sub(2 * DAY).max(1);
            let from = if n % 2 == 0 { any.next_multiple_of(DAY) } else { any };
            let metric = (n % 20 != 19).then(|| mixed(n << 9) % series.metrics);
            Question { metric, from, to: from + DAY - 1 }
        })
        .collect()
}

/// Who asks.
pub(super) struct Asker {
    client: Client,
    http: SocketAddr,
    token: String,
}

impl Asker {
    pub(super) async fn new(ws: SocketAddr, http: SocketAddr, secret: &str) -> Result<Self> {
        let token = token::sign(secret, "bench-user", "user")?;
        let (client, _) = Client::builder(&format!("ws://{ws}/ws")).token(token.clone()).start()?;
        client.settled().await?;
        Ok(Self { client, http, token })
    }

    /// `metrics:get` on the socket.
    pub(super) async fn socket(&self, question: &Question) -> Result<Value> {
        let Question { metric, from, to } = *question;
        let mut payload = json!({"startDate": Timestamp(from), "endDate": Timestamp(to), "interval": "1h"});
        if let Some(metric) = metric {
            payload["type"] = name(metric).into();
        }
        Ok(self.client.request("metrics:get", &payload).await?)
    }

    /// The same over HTTP, on a connection of its own.
    pub(super) async fn http(&self, question: &Question) -> Result<Value> {
        let Question { metric, from, to } = *question;
        let kind = metric.map(|metric| format!("&type={}", name(metric))).unwrap_or_default();
        let (from, to) = (Timestamp(from), Timestamp(to));
        let request = format!(
            "GET /api/ws/metrics?startDate={from}&endDate={to}&interval=1h{kind} HTTP/1.1\r\nHost: {}\r\n\
             Authorization: Bearer {}\r\nConnection: close\r\n\r\n",
            self.http, self.token
        );
        let mut stream = TcpStream::connect(self.http).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8(answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}: {body}");
        serde_json::from_str(body).context("the answer is no JSON")
    }

    /// Asks all, one after the other; how long each took.
    pub(super) async fn all(&self, series: &Series, questions: &[Question], http: bool) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(questions.len());
        for question in questions {
            let began = Instant::now();
            let answer = if http { self.http(question).await? } else { self.socket(question).await? };
            times.push(began.elapsed());
            check(series, question, &answer).with_context(|| format!("{} {}", Timestamp(question.from), answer["type"]))?;
        }
        Ok(times)
    }
}

/// Compares an answer with the points that were stored.
fn check(series: &Series, question: &Question, answer: &Value) -> Result<()> {
    let points = answer["points"].as_array().context("no points")?;
    let mut hours = series.hours(question.from, question.to);
    hours.retain(|(metric, _), _| question.metric.is_none_or(|only| only == *metric));
    // At most 1,000 are answered, the newest.
    ensure!(points.len() == hours.len().min(1000), "{} points instead of {}", points.len(), hours.len());
    for point in points {
        let metric = point["metric"].as_str().and_then(|name| name.strip_prefix("metric_")).context("no metric")?;
        let at = Timestamp::parse(point["timestamp"].as_str().context("no timestamp")?)?;
        let Some(hour) = hours.get(&(metric.parse()?, at.0)) else { bail!("nothing was stored at {at}") };
        let active = &point["values"]["active"];
        let told = |figure: &str| active[figure].as_f64();
        let all = (told("min"), told("max"), told("sum"), told("last"), active["count"].as_u64());
        let expected = (Some(hour.min), Some(hour.max), Some(hour.sum), Some(hour.last), Some(hour.count));
        ensure!(all == expected, "{at}: {all:?} instead of {expected:?}");
        let latency = point["values"]["latency"]["count"].as_u64();
        ensure!(latency == Some(hour.count), "{at}: {latency:?} latencies instead of {}", hour.count);
    }
    Ok(())
}
