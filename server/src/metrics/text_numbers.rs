//! Numbers that are published as text, as some databases' clients give them: they are kept as they are and are in no sum, so whoever
//! runs the server is told once of each metric, and they are counted.

use super::{Point, sqlite::PointSink};
use osbackend_protocol::event::MetricValue;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Metrics that are warned of at most: their names are remembered.
const WARNED: usize = 1_000;

/// What was found so far.
#[derive(Debug, Default)]
pub struct TextNumbers {
    values: AtomicU64,
    warned: Mutex<HashSet<String>>,
}

impl TextNumbers {
    /// Looks at a point that is stored.
    pub fn look(&self, point: &Point) {
        let texts = point.values.iter().filter(|(_, value)| matches!(value, MetricValue::Text(text) if is_number(text)));
        let mut count = 0;
        for (name, _) in texts {
            count += 1;
            let mut warned = self.warned.lock();
            if warned.len() < WARNED && !warned.contains(&point.metric) {
                warned.insert(point.metric.clone());
                tracing::warn!(
                    metric = point.metric,
                    value = name,
                    "a value of a metric is a number as text: it is in no sum. Publish it as a number, such as 12.5 instead of \"12.5\""
                );
            }
        }
        if count > 0 {
            self.values.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.values.load(Ordering::Relaxed)
    }
}

/// Whether a text is a number as a program writes one; words that Rust takes for numbers (`nan`, `infinity`) are not.
fn is_number(text: &str) -> bool {
    let begins =
        |text: &str| text.trim_start_matches(['-', '+']).starts_with(|first: char| first.is_ascii_digit() || first == '.');
    text.len() <= 64 && begins(text) && text.parse::<f64>().is_ok()
}

/// A sink whose points are looked at.
pub struct Watched<S: ?Sized>(pub Arc<S>, pub Arc<TextNumbers>);

impl<S: PointSink + ?Sized> PointSink for Watched<S> {
    fn record(&self, connection: &Connection, points: &[Point]) -> rusqlite::Result<()> {
        points.iter().for_each(|point| self.1.look(point));
        self.0.record(connection, points)
    }

    fn committed(&self) {
        self.0.committed();
    }

    fn upkeep(&self, connection: &Connection, now_ms: u64) -> rusqlite::Result<bool> {
        self.0.upkeep(connection, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_from_a_word() {
        for number in ["12.50", "-3", "+4", ".5", "1e6", "9007199254740993"] {
            assert!(is_number(number), "{number}");
        }
        for word in ["", "-", "nan", "inf", "infinity", "eu", "1.2.3", "12:30", "5°C", "2026-01-01", "0x10", "e5"] {
            assert!(!is_number(word), "{word}");
        }
    }

    #[test]
    fn each_metric_is_warned_of_once_and_every_value_counted() {
        let found = TextNumbers::default();
        let point = |metric: &str, value: MetricValue| Point {
            metric: metric.to_owned(),
            at_ms: 1,
            values: [("total".to_owned(), value), ("calls".to_owned(), 3_u64.into())].into(),
            event_id: "e".to_owned(),
        };
        for _ in 0..3 {
            found.look(&point("revenue", "12.50".into()));
        }
        found.look(&point("region", "eu".into()));
        assert_eq!((found.count(), found.warned.lock().len()), (3, 1));
        for number in 0..WARNED + 10 {
            found.look(&point(&number.to_string(), "1".into()));
        }
        assert_eq!(found.warned.lock().len(), WARNED);
    }
}
