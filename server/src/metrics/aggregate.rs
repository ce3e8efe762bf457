//! Sums of a metric's values by span of time: they can be merged, so that an hour is the sum of its minutes.

use osbackend_protocol::metrics::{Aggregate, Interval};
use std::collections::{BTreeMap, btree_map::Entry};

/// The sum of some values. Never empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sum {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) sum: f64,
    pub(super) count: u64,
    pub(super) last: f64,
    /// When `last` was, in milliseconds since 1970.
    pub(super) last_at: u64,
}

impl Sum {
    pub(super) fn of(value: f64, at_ms: u64) -> Self {
        Self { min: value, max: value, sum: value, count: 1, last: value, last_at: at_ms }
    }

    /// Adds what came later in the store's order: of two values at one time the later one is the last.
    pub(super) fn add(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        // JSON has no infinity, and two of them would make a number that no store takes.
        self.sum = (self.sum + other.sum).clamp(f64::MIN, f64::MAX);
        self.count += other.count;
        if other.last_at >= self.last_at {
            (self.last, self.last_at) = (other.last, other.last_at);
        }
    }

    pub(super) fn aggregate(&self) -> Aggregate {
        let Self { min, max, sum, count, last, .. } = *self;
        // At least one value was added.
        Aggregate { min, max, avg: sum / count as f64, sum, last, count }
    }
}

/// Sums by begin of the span and name of the value.
#[derive(Debug, Default)]
pub(super) struct Sums {
    spans: BTreeMap<u64, BTreeMap<String, Sum>>,
}

impl Sums {
    /// Adds to the span that begins at `begin`.
    pub(super) fn add(&mut self, begin: u64, name: &str, sum: &Sum) {
        let names = self.spans.entry(begin).or_default();
        match names.get_mut(name) {
            Some(before) => before.add(sum),
            None => {
                names.insert(name.to_owned(), *sum);
            }
        }
    }

    /// Every sum with its span and name.
    pub(super) fn each(&self) -> impl Iterator<Item = (u64, &str, &Sum)> {
        self.spans.iter().flat_map(|(begin, names)| names.iter().map(move |(name, sum)| (*begin, name.as_str(), sum)))
    }
}

/// The begin of the span of `length_ms` that `at_ms` is in.
pub(super) const fn floor(at_ms: u64, length_ms: u64) -> u64 {
    at_ms - at_ms % length_ms
}

/// What a batch of points adds to the stored sums, by metric and length of the span.
#[derive(Debug, Default)]
pub(super) struct Additions<K: Ord> {
    by_series: BTreeMap<(K, u64), Sums>,
}

impl<K: Ord + Clone> Additions<K> {
    /// Adds one value to its minute and its hour.
    pub(super) fn add(&mut self, series: &K, name: &str, value: f64, at_ms: u64) {
        for length in [Interval::Minute.ms(), Interval::Hour.ms()] {
            let sums = match self.by_series.entry((series.clone(), length)) {
                Entry::Vacant(entry) => entry.insert(Sums::default()),
                Entry::Occupied(entry) => entry.into_mut(),
            };
            sums.add(floor(at_ms, length), name, &Sum::of(value, at_ms));
        }
    }

    /// Every sum: series, length of the span, its begin, name.
    pub(super) fn each(&self) -> impl Iterator<Item = (&K, u64, u64, &str, &Sum)> {
        self.by_series
            .iter()
            .flat_map(|((series, length), sums)| sums.each().map(move |(begin, name, sum)| (series, *length, begin, name, sum)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_the_sum_of_its_minutes() {
        let mut sums = Sums::default();
        for (at, value) in [(60_000, 1.0), (120_000, 5.0), (120_000, 3.0), (3_600_000, 9.0)] {
            sums.add(floor(at, 3_600_000), "a", &Sum::of(value, at));
        }
        let all: Vec<_> = sums.each().map(|(begin, _, sum)| (begin, sum.aggregate())).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], (0, Aggregate { min: 1.0, max: 5.0, avg: 3.0, sum: 9.0, last: 3.0, count: 3 }));
        assert_eq!(all[1].0, 3_600_000);
    }
}
