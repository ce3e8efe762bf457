//! What is asked of the metrics, checked: the same rules for `metrics:get` and for the HTTP API.

use osbackend_protocol::{
    Timestamp,
    limits::MAX_PAGE,
    metrics::{Interval, MetricsGet},
};

/// How far back is looked when no start is given, in milliseconds.
const DEFAULT_RANGE_MS: u64 = 86_400_000;

/// A checked question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricQuery {
    /// Only this metric.
    pub metric: Option<String>,
    /// Begin, included, in milliseconds since 1970.
    pub from_ms: u64,
    /// End, included, in milliseconds since 1970.
    pub to_ms: u64,
    /// Points at most, the newest; 1 to 1000.
    pub limit: usize,
    /// Aggregates over such spans.
    pub interval: Option<Interval>,
}

/// A question that has no answer; `field` is named as in `metrics:get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct BadQuery {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: &'static str,
}

impl MetricQuery {
    /// Checks `get` at the time `now_ms`. Without dates the last 24 hours are meant.
    ///
    /// # Errors
    /// The range ends before it begins, or the limit is 0.
    pub fn new(get: MetricsGet, now_ms: u64) -> Result<Self, BadQuery> {
        let to_ms = get.end_date.map_or(now_ms, |Timestamp(end)| end);
        let from_ms = get.start_date.map_or(to_ms.saturating_sub(DEFAULT_RANGE_MS), |Timestamp(start)| start);
        if from_ms > to_ms {
            let field = if get.end_date.is_some() { "endDate" } else { "startDate" };
            return Err(BadQuery { field, message: "the range ends before it begins" });
        }
        let limit = match get.limit.unwrap_or(MAX_PAGE) {
            0 => return Err(BadQuery { field: "limit", message: "must be 1 to 1000" }),
            limit => limit.min(MAX_PAGE) as usize,
        };
        Ok(Self { metric: get.kind, from_ms, to_ms, limit, interval: get.interval })
    }

    /// The range without its end, in milliseconds.
    pub(super) fn range(&self) -> (u64, u64) {
        (self.from_ms, self.to_ms.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_a_meaning_and_what_is_wrong_is_named() {
        let day = 86_400_000;
        let query = MetricQuery::new(MetricsGet::default(), 10 * day).unwrap();
        assert_eq!((query.from_ms, query.to_ms, query.limit), (9 * day, 10 * day, 1000));
        let get = |start: Option<u64>, end: Option<u64>, limit| MetricsGet {
            start_date: start.map(Timestamp),
            end_date: end.map(Timestamp),
            limit,
            ..MetricsGet::default()
        };
        let field = |get| MetricQuery::new(get, 10 * day).unwrap_err().field;
        assert_eq!(field(get(Some(5), Some(4), None)), "endDate");
        assert_eq!(field(get(Some(11 * day), None, None)), "startDate");
        assert_eq!(field(get(None, None, Some(0))), "limit");
        assert_eq!(MetricQuery::new(get(None, None, Some(5_000)), day).unwrap().limit, 1000);
    }
}
