//! Stored metrics (§3, `metrics:get`): every `metric_update` of `dashboard:overview` is kept as a point, and as aggregates by
//! minute and by hour that outlive it. This is the port; its adapters are [`memory`], [`sqlite`] and [`postgres`].
//!
//! A point is written in the transaction that stores its event, so that what a client sees live is in the history too.

mod aggregate;
mod backlog;
mod blocking;
mod bound;
mod cursor;
mod desk;
pub mod memory;
mod page;
mod plan;
pub mod postgres;
mod query;
pub mod sqlite;
mod text_numbers;
mod zone;

pub use backlog::{Backlog, MemoryBacklog};
pub use bound::{MOST_METRICS, refused_points};
pub use cursor::Cursor;
pub use desk::{Asker, Desk};
pub use query::{BadQuery, MetricQuery, Order, PAGE_BYTES};
pub use text_numbers::{TextNumbers, Watched};
pub use zone::Zone;

use crate::hub::event::NewEvent;
use osbackend_protocol::{
    ErrorBody, ErrorCode, RoomName, Timestamp,
    event::{MetricUpdate, MetricValue},
    metrics::Metrics,
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
        numbers(&self.values)
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

/// A question that was not answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The store can't be read.
    #[error(transparent)]
    Unavailable(#[from] MetricsError),
    /// Reading took too long.
    #[error("the question took longer than {0:?}: ask for one metric, for a shorter range, or by a longer interval")]
    TooSlow(Duration),
    /// One point is larger than an answer may be.
    #[error("the point of {metric:?} at {at} alone is over the {bytes} bytes of an answer: ask for a range without it")]
    TooLarge {
        /// The metric.
        metric: String,
        /// When the point was, or its span begins.
        at: Timestamp,
        /// Bytes of an answer, at most.
        bytes: usize,
    },
    /// The asker, or all together, have too many questions waiting.
    #[error("too many questions for metrics are waiting: ask again in {retry_after_ms} ms, and fewer at once")]
    Busy {
        /// When to ask again, in milliseconds.
        retry_after_ms: u64,
    },
}

impl QueryError {
    /// Its code on the wire.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable(_) | Self::TooSlow(_) => ErrorCode::Unavailable,
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::Busy { .. } => ErrorCode::RateLimited,
        }
    }
}

impl From<QueryError> for ErrorBody {
    fn from(error: QueryError) -> Self {
        let body = Self::new(error.code(), error.to_string());
        match error {
            QueryError::Busy { retry_after_ms } => Self { retry_after_ms: Some(retry_after_ms), ..body },
            _ => body,
        }
    }
}

/// An answer that has to be waited for. Dropping it ends the work for it.
pub type Answer = Pin<Box<dyn Future<Output = Result<Metrics, QueryError>> + Send>>;

/// Where metrics are read. Questions come by a [`Desk`].
pub trait MetricStore: Send + Sync + 'static {
    /// Its name, for logs.
    fn name(&self) -> &'static str;

    /// The points (or aggregates) in range from the end that the question names, newest last.
    fn query(&self, query: MetricQuery, now_ms: u64) -> Answer;
}

/// The values of a stored text; what this server has encoded decodes, and what doesn't is left out rather than failing the answer.
fn values_of(data: &str) -> BTreeMap<String, MetricValue> {
    serde_json::from_str(data).unwrap_or_default()
}

/// The values that can be aggregated.
fn numbers(values: &BTreeMap<String, MetricValue>) -> impl Iterator<Item = (&str, f64)> {
    values.iter().filter_map(|(name, value)| match value {
        MetricValue::Number(number) => Some((name.as_str(), number.as_f64().filter(|number| number.is_finite())?)),
        _ => None,
    })
}
