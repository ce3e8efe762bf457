//! What the load came to, for people and for programs.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::cli::terminal::Paint;

/// Times in milliseconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Times {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Times {
    /// Of microseconds.
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        let max = histogram.max() as f64 / 1_000.0;
        Self { mean: histogram.mean() / 1_000.0, p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max }
    }

    fn line(&self) -> String {
        let Self { mean, p50, p90, p99, p999, max } = self;
        format!("mean {mean:.2}  p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2} ms")
    }
}

/// The whole of it; `--json` prints it as it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Members that were asked for, and that got into their rooms.
    pub(super) clients: usize,
    pub(super) connected: usize,
    pub(super) rooms: usize,
    /// Of publishing.
    pub(super) seconds: f64,
    pub(super) published: u64,
    pub(super) published_per_second: f64,
    /// Events times members of their rooms.
    pub(super) expected: u64,
    pub(super) delivered: u64,
    pub(super) delivered_per_second: f64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) misplaced: u64,
    pub(super) reconnects: u64,
    /// From an event's publishing to its delivery.
    pub(super) latency_ms: Times,
    /// From a member's first attempt to its join.
    pub(super) connect_ms: Times,
    /// The first of each kind of trouble.
    pub(super) errors: Vec<String>,
}

impl Report {
    /// Whether every event reached every member once, in order.
    pub(super) fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.published > 0 && self.lost + self.duplicated + self.misplaced == 0
    }

    pub(super) fn text(&self, paint: Paint) -> String {
        let bad = |number: u64| if number == 0 { paint.green("0") } else { paint.red(&number.to_string()) };
        let row = |name: &str, value: String| format!("{} {value}", paint.dim(&format!("{name:<10}")));
        let mut out = vec![
            row("clients", format!("{} of {} connected, in {} rooms", self.connected, self.clients, self.rooms)),
            row("connect", self.connect_ms.line()),
            row("published", format!("{} in {:.1} s: {:.0} a second", self.published, self.seconds, self.published_per_second)),
            row("delivered", format!("{} of {}: {:.0} a second", self.delivered, self.expected, self.delivered_per_second)),
            row("latency", self.latency_ms.line()),
            row("lost", bad(self.lost)),
            row("duplicated", bad(self.duplicated)),
            row("misplaced", bad(self.misplaced)),
            row("reconnects", self.reconnects.to_string()),
        ];
        out.extend(self.errors.iter().map(|error| row("error", paint.red(error))));
        out.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_histogram() {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000, 3).unwrap();
        for us in 1..=1_000 {
            histogram.record(us * 1_000).unwrap();
        }
        let times = Times::of(&histogram);
        assert!((times.p50 - 500.0).abs() < 1.0 && (times.p99 - 990.0).abs() < 2.0, "{times:?}");
        assert!((times.max - 1_000.0).abs() < 2.0 && (times.mean - 500.5).abs() < 1.0, "{times:?}");
        assert!(Times::of(&Histogram::new_with_bounds(1, 2, 3).unwrap()).max.abs() < f64::EPSILON);
    }
}
