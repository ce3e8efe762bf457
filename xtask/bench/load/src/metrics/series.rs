//! The points of the measurement: each follows from its number, so that every answer can be checked against what was stored.

use std::collections::BTreeMap;

use osbackend_protocol::event::MetricValue;
use osbackend_server::metrics::Point;

pub(super) const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;

/// Points evenly over a time, of metrics of which some are far more frequent than others.
#[derive(Clone, Copy)]
pub(super) struct Series {
    pub(super) points: u64,
    pub(super) metrics: u64,
    pub(super) begin_ms: u64,
    pub(super) length_ms: u64,
}

/// Of the values `active` of one metric and hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hour {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) sum: f64,
    pub(super) last: f64,
    pub(super) count: u64,
}

/// A number that looks random, and is the same for the same `n`.
pub(super) fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The name of a metric.
pub(super) fn name(metric: u64) -> String {
    format!("metric_{metric:02}")
}

impl Series {
    /// When point `n` was.
    fn at(&self, n: u64) -> u64 {
        self.begin_ms + (u128::from(n) * u128::from(self.length_ms) / u128::from(self.points)) as u64
    }

    /// Which metric it is of: of 40, the first has a sixth of all points, the last an eightieth.
    fn metric(&self, n: u64) -> u64 {
        let share = (mixed(n) >> 40) as f64 / (1_u64 << 24) as f64;
        ((share * share * self.metrics as f64) as u64).min(self.metrics - 1)
    }

    /// Whole numbers, whose sums are exact.
    fn active(n: u64) -> u64 {
        mixed(!n) % 1000
    }

    /// Point `n`.
    pub(super) fn point(&self, n: u64) -> Point {
        let values = [
            ("active".to_owned(), MetricValue::from(Self::active(n))),
            ("latency".to_owned(), MetricValue::from((mixed(n ^ 0x5555) % 1_000_000) as f64 / 1000.0)),
            ("total".to_owned(), MetricValue::from(n)),
            ("region".to_owned(), MetricValue::from(["eu-west", "us-east", "ap-south"][(n % 3) as usize])),
        ];
        let event_id = format!("e-{:016x}-{n}", self.begin_ms);
        Point { metric: name(self.metric(n)), at_ms: self.at(n), values: values.into(), event_id }
    }

    /// The hours of every metric from `from` to `to`, both included.
    pub(super) fn hours(&self, from: u64, to: u64) -> BTreeMap<(u64, u64), Hour> {
        let near = u128::from(from.saturating_sub(self.begin_ms)) * u128::from(self.points) / u128::from(self.length_ms);
        let mut hours = BTreeMap::new();
        let numbers = (near as u64).saturating_sub(2)..self.points;
        for n in numbers.skip_while(|n| self.at(*n) < from).take_while(|n| self.at(*n) <= to) {
            let (value, at) = (Self::active(n) as f64, self.at(n));
            let hour = hours.entry((self.metric(n), at - at % HOUR)).or_insert(Hour {
                min: value,
                max: value,
                sum: 0.0,
                last: value,
                count: 0,
            });
            hour.min = hour.min.min(value);
            hour.max = hour.max.max(value);
            hour.sum += value;
            hour.last = value;
            hour.count += 1;
        }
        hours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_those_of_their_points() {
        let series = Series { points: 5_000, metrics: 4, begin_ms: 10 * DAY + 17, length_ms: 2 * DAY };
        let (from, to) = (10 * DAY + HOUR / 2, 11 * DAY + 5);
        let mut counts = BTreeMap::new();
        for point in (0..series.points).map(|n| series.point(n)).filter(|point| (from..=to).contains(&point.at_ms)) {
            *counts.entry((point.metric, point.at_ms - point.at_ms % HOUR)).or_insert(0) += 1;
        }
        let hours = series.hours(from, to);
        assert_eq!(hours.len(), counts.len());
        assert!(hours.iter().all(|((metric, begin), hour)| counts[&(name(*metric), *begin)] == hour.count));
        let first: u64 = (0..series.points).filter(|n| series.metric(*n) == 0).count() as u64;
        assert!(first > series.points / 3, "the first metric is the most frequent: {first}");
    }
}
