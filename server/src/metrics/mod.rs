//! Stored metrics (§3, `metrics:get`): every `metric_update` of `dashboard:overview` is kept as a point, and as aggregates by
//! minute and by hour that outlive it. This is the port; its adapters are [`memory`], [`sqlite`] and [`postgres`].
//!
//! A point is written in the transaction that stores its event, so that what a client sees live is in the history too.

mod aggregate;
mod backlog;
mod bound;
pub mod memory;
mod plan;
pub mod postgres;
mod query;
pub mod sqlite;

pub use backlog::{Backlog, MemoryBacklog};
pub use bound::{MOST_METRICS, refused_points};
pub use query::{BadQuery, MetricQuery};

use crate::hub::event::NewEvent;
use aggregate::Sums;
use osbackend_protocol::{
    RoomName, Timestamp,
    event::{MetricUpdate, MetricValue},
    metrics::{MetricPoint, Metrics, PointValue},
};
use std::{collections::BTreeMap, future::Future, pin::Pin, time::Duration};

/// Room whose metrics are stored: who may join it may ask for them.
pub const ROOM: &str = "dashboard:overview";

/// A stored `metric_update`.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The metric.
    pub metric: String,
    /// When it was published, in milliseconds since 1970.
    pub at_ms: u64,
    /// Its values.
    pub values: BTreeMap<String, MetricValue>,
    /// The id of its event.
    pub event_id: String,
}

impl Point {
    /// The point that an event is, if it is one that is stored.
    pub fn of_event(room: &RoomName, event: &NewEvent, now_ms: u64) -> Option<Self> {
        if &*event.kind != "metric_update" || event.ephemeral || room.as_str() != ROOM {
            return None;
        }
        // What was taken as a `metric_update` was validated.
        let MetricUpdate { metric, values } = serde_json::from_str(event.data.get()).ok()?;
        Some(Self { metric, at_ms: now_ms, values, event_id: event.event_id.to_string() })
    }

    /// The values that can be aggregated.
    fn numbers(&self) -> impl Iterator<Item = (&str, f64)> {
        self.values.iter().filter_map(|(name, value)| match value {
            MetricValue::Number(number) => Some((name.as_str(), number.as_f64().filter(|number| number.is_finite())?)),
            _ => None,
        })
    }
}

/// How long points and aggregates are kept; `None` for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Points.
    pub raw: Option<Duration>,
    /// Aggregates by minute.
    pub minutes: Option<Duration>,
    /// Aggregates by hour.
    pub hours: Option<Duration>,
}

impl Default for Keep {
    /// 7, 30 and 400 days.
    fn default() -> Self {
        let days = |days: u64| Some(Duration::from_secs(days * 86_400));
        Self { raw: days(7), minutes: days(30), hours: days(400) }
    }
}

impl Keep {
    fn since(age: Option<Duration>, now_ms: u64) -> u64 {
        age.map_or(0, |age| now_ms.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// The metrics can't be read now.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the metrics store is unavailable ({0}): try again later")]
pub struct MetricsError(pub String);

/// An answer that has to be waited for.
pub type Answer = Pin<Box<dyn Future<Output = Result<Metrics, MetricsError>> + Send>>;

/// Where metrics are read.
pub trait MetricStore: Send + Sync + 'static {
    /// Its name, for logs.
    fn name(&self) -> &'static str;

    /// The newest points (or aggregates) in range, newest last.
    fn query(&self, query: MetricQuery, now_ms: u64) -> Answer;
}

/// Puts what was found of each metric into an answer: at most `query.limit`, the newest, newest last.
fn answer(query: MetricQuery, mut points: Vec<MetricPoint>) -> Metrics {
    points.sort_by(|a, b| (a.timestamp, &a.metric).cmp(&(b.timestamp, &b.metric)));
    points.drain(..points.len().saturating_sub(query.limit));
    let MetricQuery { metric, from_ms, to_ms, interval, .. } = query;
    Metrics { kind: metric, from: Timestamp(from_ms), to: Timestamp(to_ms), interval, points }
}

/// A stored point as it is answered.
fn plain(metric: &str, at_ms: u64, values: BTreeMap<String, MetricValue>) -> MetricPoint {
    let values = values.into_iter().map(|(name, value)| (name, PointValue::Plain(value))).collect();
    MetricPoint { metric: metric.to_owned(), timestamp: Timestamp(at_ms), values }
}

/// The spans of one metric as they are answered.
fn spans(metric: &str, sums: &Sums) -> Vec<MetricPoint> {
    sums.spans()
        .map(|(begin, values)| {
            let values = values.map(|(name, aggregate)| (name.to_owned(), PointValue::Aggregate(aggregate))).collect();
            MetricPoint { metric: metric.to_owned(), timestamp: Timestamp(begin), values }
        })
        .collect()
}
