//! What is asked of the metrics, checked: the same rules for `metrics:get` and for the HTTP API.

use super::{cursor::Cursor, zone::Zone};
use osbackend_protocol::{
    limits::MAX_METRICS_PAGE,
    metrics::{Interval, MetricsGet},
};

/// How far back is looked when no start is given, in milliseconds.
const DEFAULT_RANGE_MS: u64 = 86_400_000;
/// Bytes of the points of one answer on a socket.
pub const PAGE_BYTES: usize = 256 * 1024;

/// From which end of the range an answer begins; its points are sorted by time either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The newest points; what comes before them is for the next page.
    NewestFirst,
    /// The oldest points; what comes after them is for the next page.
    OldestFirst,
}

/// A checked question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricQuery {
    /// Only this metric.
    pub metric: Option<String>,
    /// Begin, included, in milliseconds since 1970.
    pub from_ms: u64,
    /// End, included, in milliseconds since 1970.
    pub to_ms: u64,
    /// Points at most; 1 to 10000.
    pub limit: usize,
    /// Bytes of the points as JSON, at most.
    pub bytes: usize,
    /// Aggregates over such spans.
    pub interval: Option<Interval>,
    /// Whose days; UTC's without one. Only with [`Interval::Day`].
    pub zone: Option<Zone>,
    /// Which points are answered where not all of them fit.
    pub order: Order,
    /// Only what comes after this in `order`.
    pub cursor: Option<Cursor>,
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
    /// The newest points of a range, in milliseconds since 1970, with both its ends.
    pub fn of_range(metric: Option<&str>, from_ms: u64, to_ms: u64) -> Self {
        Self {
            metric: metric.map(str::to_owned),
            from_ms,
            to_ms,
            limit: MAX_METRICS_PAGE as usize,
            bytes: PAGE_BYTES,
            interval: None,
            zone: None,
            order: Order::NewestFirst,
            cursor: None,
        }
    }

    /// Checks `get` at the time `now_ms`. Without dates the last 24 hours are meant.
    ///
    /// # Errors
    /// The range ends before it begins, the limit is out of its range, there is no such zone, or it has nothing to do with the
    /// interval, or the cursor is none.
    pub fn new(get: MetricsGet, now_ms: u64) -> Result<Self, BadQuery> {
        let bad = |field, message| Err(BadQuery { field, message });
        let zone = match get.tz.as_deref().map(Zone::named) {
            None => None,
            Some(None) => return bad("tz", "no such time zone: use an IANA name such as Europe/Berlin"),
            Some(Some(_)) if get.interval != Some(Interval::Day) => {
                return bad("tz", "only days depend on a zone: use it with the interval 1d");
            }
            Some(zone) => zone,
        };
        let limit = match get.limit {
            None => MAX_METRICS_PAGE,
            Some(limit @ 1..=MAX_METRICS_PAGE) => limit,
            Some(_) => return bad("limit", "must be 1 to 10000"),
        };
        let cursor = match get.cursor.as_deref().map(Cursor::parse) {
            Some(None) => return bad("cursor", "not one that an answer had: leave it out to begin at the newest points"),
            cursor => cursor.flatten(),
        };
        let (from_ms, to_ms) = match &cursor {
            Some(cursor) => (cursor.from_ms, cursor.to_ms),
            None => {
                let to_ms = get.end_date.map_or(now_ms, |end| Zone::end(zone.as_ref(), end));
                let default = to_ms.saturating_sub(DEFAULT_RANGE_MS);
                (get.start_date.map_or(default, |start| Zone::begin(zone.as_ref(), start)), to_ms)
            }
        };
        if from_ms > to_ms {
            let field = if get.end_date.is_some() { "endDate" } else { "startDate" };
            return bad(field, "the range ends before it begins");
        }
        let range = Self::of_range(get.kind.as_deref(), from_ms, to_ms);
        Ok(Self { limit: limit as usize, interval: get.interval, zone, cursor, ..range })
    }

    /// The part of the range that may hold points after the cursor, without its end, in milliseconds.
    pub(super) fn range(&self) -> (u64, u64) {
        let (from, end) = (self.from_ms, self.to_ms.saturating_add(1));
        match (&self.cursor, self.order) {
            (None, _) => (from, end),
            (Some(cursor), Order::OldestFirst) => (from.max(cursor.key.0).min(end), end),
            (Some(cursor), Order::NewestFirst) => {
                let at = cursor.key.0;
                // With an interval other metrics may have the cursor's span, too: all of it is read.
                let after = match self.interval {
                    Some(interval) => super::zone::Spans::new(interval, self.zone.clone()).of(at).1,
                    None => at.saturating_add(1),
                };
                (from, end.min(after).max(from))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbackend_protocol::{Timestamp, timestamp::DateOrTime};

    const DAY: u64 = 86_400_000;

    #[test]
    fn what_is_left_out_has_a_meaning_and_what_is_wrong_is_named() {
        let query = MetricQuery::new(MetricsGet::default(), 10 * DAY).unwrap();
        assert_eq!((query.from_ms, query.to_ms, query.limit), (9 * DAY, 10 * DAY, 10_000));
        let get = |start: Option<u64>, end: Option<u64>, limit| MetricsGet {
            start_date: start.map(|at| DateOrTime::Time(Timestamp(at))),
            end_date: end.map(|at| DateOrTime::Time(Timestamp(at))),
            limit,
            ..MetricsGet::default()
        };
        let field = |get| MetricQuery::new(get, 10 * DAY).unwrap_err().field;
        assert_eq!(field(get(Some(5), Some(4), None)), "endDate");
        assert_eq!(field(get(Some(11 * DAY), None, None)), "startDate");
        assert_eq!(field(get(None, None, Some(0))), "limit");
        assert_eq!(field(get(None, None, Some(10_001))), "limit");
        assert_eq!(MetricQuery::new(get(None, None, Some(10_000)), DAY).unwrap().limit, 10_000);
        let day = |tz: &str, interval| MetricsGet { tz: Some(tz.to_owned()), interval, ..MetricsGet::default() };
        assert_eq!(field(day("Mars/Olympus", Some(Interval::Day))), "tz");
        assert_eq!(field(day("Europe/Berlin", Some(Interval::Hour))), "tz");
        assert_eq!(field(day("Europe/Berlin", None)), "tz");
        assert_eq!(field(MetricsGet { cursor: Some("1".to_owned()), ..MetricsGet::default() }), "cursor");
    }

    #[test]
    fn dates_are_days_of_the_zone() {
        let date = DateOrTime::parse("2026-03-29").unwrap();
        let get = |tz: Option<&str>| MetricsGet {
            start_date: Some(date),
            end_date: Some(date),
            interval: Some(Interval::Day),
            tz: tz.map(str::to_owned),
            ..MetricsGet::default()
        };
        let range = |tz| {
            let query = MetricQuery::new(get(tz), 0).unwrap();
            (Timestamp(query.from_ms).to_string(), Timestamp(query.to_ms).to_string())
        };
        let texts = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(range(None), texts("2026-03-29T00:00:00.000Z", "2026-03-29T23:59:59.999Z"));
        // The clocks go forward: 23 hours.
        assert_eq!(range(Some("Europe/Berlin")), texts("2026-03-28T23:00:00.000Z", "2026-03-29T21:59:59.999Z"));
        assert_eq!(range(Some("Asia/Kolkata")), texts("2026-03-28T18:30:00.000Z", "2026-03-29T18:29:59.999Z"));
    }
}
