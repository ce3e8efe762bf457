//! One answer while it is read: what doesn't fit is forgotten at once, so that no question takes more memory than its answer may hold,
//! however much there is in its range and in whatever order a store reads it.

use super::{
    MetricQuery, Order, QueryError,
    aggregate::Sum,
    cursor::{Cursor, Key},
};
use osbackend_protocol::{
    Timestamp,
    event::MetricValue,
    metrics::{MetricPoint, Metrics, PointValue},
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    io::{self, Write},
    sync::Arc,
};

/// Bytes of a point as JSON without its metric and values: `{"metric":"","timestamp":"2026-…Z","values":{}},`
const POINT_BYTES: usize = 70;
/// Bytes of an aggregate whose numbers are short.
const AGGREGATE_BYTES: usize = 70;

enum Values {
    Plain(BTreeMap<String, MetricValue>),
    Sums(BTreeMap<String, Sum>),
}

struct Kept {
    values: Values,
    bytes: usize,
}

/// The points of an answer so far.
pub(super) struct Page {
    query: MetricQuery,
    kept: BTreeMap<Key, Kept>,
    /// What they take as JSON, estimated from below.
    bytes: usize,
    /// The nearest place of what was left out: nothing from there on belongs to this answer.
    left_out: Option<Key>,
}

impl Page {
    pub(super) fn new(query: MetricQuery) -> Self {
        Self { query, kept: BTreeMap::new(), bytes: 0, left_out: None }
    }

    /// The question.
    pub(super) fn query(&self) -> &MetricQuery {
        &self.query
    }

    /// Whether something was left out: what lies beyond it in the question's order need not be read.
    pub(super) fn is_full(&self) -> bool {
        self.left_out.is_some()
    }

    /// Whether nothing at this time or beyond it, in the question's order, belongs to the answer.
    pub(super) fn is_past(&self, at_ms: u64) -> bool {
        self.left_out.as_ref().is_some_and(|left_out| match self.query.order {
            Order::NewestFirst => at_ms < left_out.0,
            Order::OldestFirst => at_ms > left_out.0,
        })
    }

    /// Whether `a` comes before `b` in the question's order.
    fn is_before(&self, a: &Key, b: &Key) -> bool {
        match self.query.order {
            Order::NewestFirst => a > b,
            Order::OldestFirst => a < b,
        }
    }

    fn takes(&self, key: &Key) -> bool {
        self.query.cursor.as_ref().is_none_or(|cursor| self.is_before(&cursor.key, key))
            && self.left_out.as_ref().is_none_or(|left_out| self.is_before(key, left_out))
    }

    /// A stored point, whose values take so many bytes as JSON.
    pub(super) fn point(
        &mut self,
        (at_ms, metric, seq): (u64, &Arc<str>, u64),
        bytes: usize,
        values: impl FnOnce() -> BTreeMap<String, MetricValue>,
    ) -> Result<(), QueryError> {
        let key = (at_ms, metric.clone(), seq);
        if !self.takes(&key) {
            return Ok(());
        }
        let bytes = POINT_BYTES + metric.len() + bytes;
        self.bytes += bytes;
        self.kept.insert(key, Kept { values: Values::Plain(values()), bytes });
        self.fit()
    }

    /// A part of the span that begins at `begin_ms`, of one of its metric's values.
    pub(super) fn add(&mut self, begin_ms: u64, metric: &Arc<str>, name: &str, sum: &Sum) -> Result<(), QueryError> {
        let key = (begin_ms, metric.clone(), 0);
        if !self.takes(&key) {
            return Ok(());
        }
        let mut added = 0;
        let kept = match self.kept.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                added = POINT_BYTES + metric.len();
                entry.insert(Kept { values: Values::Sums(BTreeMap::new()), bytes: 0 })
            }
        };
        if let Values::Sums(sums) = &mut kept.values {
            match sums.get_mut(name) {
                Some(before) => before.add(sum),
                None => {
                    added += AGGREGATE_BYTES + name.len();
                    sums.insert(name.to_owned(), *sum);
                }
            }
        }
        kept.bytes += added;
        self.bytes += added;
        if added > 0 { self.fit() } else { Ok(()) }
    }

    /// Forgets what is farthest in the question's order, until the rest fits.
    fn fit(&mut self) -> Result<(), QueryError> {
        while self.kept.len() > self.query.limit || self.bytes > self.query.bytes {
            if self.kept.len() == 1
                && let Some((key, _)) = self.kept.first_key_value()
            {
                return Err(too_large(key, self.query.bytes));
            }
            let farthest = match self.query.order {
                Order::NewestFirst => self.kept.pop_first(),
                Order::OldestFirst => self.kept.pop_last(),
            };
            let Some((key, kept)) = farthest else { break };
            self.bytes -= kept.bytes;
            self.left_out = Some(key);
        }
        Ok(())
    }

    /// The answer, newest last.
    pub(super) fn finish(mut self) -> Result<Metrics, QueryError> {
        let newest_first = self.query.order == Order::NewestFirst;
        let (mut points, mut bytes, mut last) = (Vec::with_capacity(self.kept.len()), 0, None);
        let mut cut = self.left_out.is_some();
        let mut next = || if newest_first { self.kept.pop_last() } else { self.kept.pop_first() };
        while let Some((key, kept)) = next() {
            let point = kept.point(&key);
            bytes += json_bytes(&point) + 1;
            if bytes > self.query.bytes {
                if points.is_empty() {
                    return Err(too_large(&key, self.query.bytes));
                }
                cut = true;
                break;
            }
            points.push(point);
            last = Some(key);
        }
        if newest_first {
            points.reverse();
        }
        let MetricQuery { metric, from_ms, to_ms, interval, zone, .. } = self.query;
        let cursor = last.filter(|_| cut).map(|key| Cursor { from_ms, to_ms, key }.text());
        Ok(Metrics {
            kind: metric,
            from: Timestamp(from_ms),
            to: Timestamp(to_ms),
            interval,
            tz: zone.map(|zone| zone.name().to_owned()),
            points,
            truncated: cursor.is_some(),
            cursor,
        })
    }
}

impl Kept {
    fn point(self, (at_ms, metric, _): &Key) -> MetricPoint {
        let values = match self.values {
            Values::Plain(values) => values.into_iter().map(|(name, value)| (name, PointValue::Plain(value))).collect(),
            Values::Sums(sums) => sums.into_iter().map(|(name, sum)| (name, PointValue::Aggregate(sum.aggregate()))).collect(),
        };
        MetricPoint { metric: metric.to_string(), timestamp: Timestamp(*at_ms), values }
    }
}

fn too_large((at_ms, metric, _): &Key, bytes: usize) -> QueryError {
    QueryError::TooLarge { metric: metric.to_string(), at: Timestamp(*at_ms), bytes }
}

/// Bytes of a value as JSON.
pub(super) fn json_bytes(value: &impl serde::Serialize) -> usize {
    struct Count(usize);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What can't be written would fail the answer where it is encoded.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbackend_protocol::metrics::Interval;
    use proptest::prelude::*;

    fn values() -> BTreeMap<String, MetricValue> {
        [("active".to_owned(), 1_u64.into())].into()
    }

    fn pages(query: &MetricQuery, points: &[(u64, u8)]) -> Vec<Vec<(u64, String)>> {
        let (mut query, mut pages) = (query.clone(), Vec::new());
        loop {
            let mut page = Page::new(query.clone());
            for (seq, (at, metric)) in points.iter().enumerate() {
                page.point((*at, &metric.to_string().into(), seq as u64), json_bytes(&values()), values).unwrap();
            }
            let answer = page.finish().unwrap();
            assert_eq!(answer.truncated, answer.cursor.is_some());
            assert!(json_bytes(&answer.points) <= query.bytes + 2);
            pages.push(answer.points.iter().map(|point| (point.timestamp.0, point.metric.clone())).collect());
            match answer.cursor {
                Some(cursor) => query.cursor = Some(Cursor::parse(&cursor).unwrap()),
                None => return pages,
            }
        }
    }

    proptest! {
        #[test]
        fn pages_hold_each_point_once_and_in_order_whatever_the_order_of_reading(
            points in proptest::collection::vec((0..20_u64, 0..3_u8), 0..60), limit in 1..20_usize, bytes in 120..2_000_usize, newest: bool
        ) {
            let order = if newest { Order::NewestFirst } else { Order::OldestFirst };
            let query = MetricQuery { limit, bytes, order, ..MetricQuery::of_range(None, 0, 20) };
            let mut pages = pages(&query, &points);
            if newest {
                pages.reverse();
            }
            let mut expected: Vec<_> = points.iter().map(|(at, metric)| (*at, metric.to_string())).collect();
            expected.sort();
            prop_assert!(pages.iter().all(|page| page.len() <= limit));
            prop_assert_eq!(pages.concat(), expected);
        }
    }

    #[test]
    fn what_is_held_while_reading_is_bounded() {
        let query = MetricQuery { interval: Some(Interval::Minute), limit: 10_000, ..MetricQuery::of_range(None, 0, u64::MAX) };
        let mut page = Page::new(query);
        let metric: Arc<str> = "calls".into();
        for minute in 0..100_000 {
            page.add(minute * 60_000, &metric, "active", &Sum::of(1.0, minute)).unwrap();
            assert!(page.bytes <= super::super::PAGE_BYTES);
        }
        assert!(page.is_full() && page.is_past(0) && !page.is_past(100_000 * 60_000));
        let answer = page.finish().unwrap();
        assert_eq!(answer.points.last().unwrap().timestamp.0, 99_999 * 60_000);
        assert!(json_bytes(&answer.points) <= super::super::PAGE_BYTES && answer.points.len() > 1_440);
    }

    #[test]
    fn a_point_that_no_page_holds_is_named() {
        let query = MetricQuery { bytes: 1_000, ..MetricQuery::of_range(None, 0, 10) };
        let mut page = Page::new(query.clone());
        let error = page.point((5, &"calls".into(), 0), 2_000, values).unwrap_err().to_string();
        assert!(error.contains("calls") && error.contains("1970-01-01T00:00:00.005Z"), "{error}");
        // Of one metric, of which many values have many names.
        let mut page = Page::new(query);
        let mut name = 0;
        let failed = std::iter::repeat_with(|| {
            name += 1;
            page.add(0, &"calls".into(), &name.to_string(), &Sum::of(1.0, 0))
        });
        assert!(failed.take(20).any(|added| added.is_err()));
    }
}
