//! Figures by server and measurement, over all rounds.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// (server, measurement, figure) → one value a round.
    values: BTreeMap<(String, String, String), Vec<f64>>,
    order: Vec<String>,
    failures: Vec<String>,
}

/// One figure over the rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Figures {
    /// Keeps the numbers of one measurement, or the reason why there are none.
    pub(crate) fn take(&mut self, server: &str, measurement: &str, result: Result<Value>) {
        if !self.order.iter().any(|known| known == server) {
            self.order.push(server.to_owned());
        }
        match result {
            Ok(figures) => {
                for (figure, value) in figures.as_object().into_iter().flatten() {
                    if let Some(number) = value.as_f64() {
                        let key = (server.to_owned(), measurement.to_owned(), figure.clone());
                        self.values.entry(key).or_default().push(number);
                    }
                }
            }
            Err(error) => {
                eprintln!("  {server} {measurement} failed: {error:#}");
                self.failures.push(format!("{server} {measurement}: {error:#}"));
            }
        }
    }

    /// What could not be measured.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Who was measured, in the order in which it was.
    pub(crate) fn servers(&self) -> &[String] {
        &self.order
    }

    /// One figure of one measurement.
    pub(crate) fn get(&self, server: &str, measurement: &str, figure: &str) -> Option<Spread> {
        let key = (server.to_owned(), measurement.to_owned(), figure.to_owned());
        Spread::of(self.values.get(&key)?)
    }

    /// All figures, for a machine to read.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str, &str, &[f64])> {
        self.values.iter().map(|((server, measurement, figure), values)| {
            (server.as_str(), measurement.as_str(), figure.as_str(), values.as_slice())
        })
    }
}

impl Spread {
    /// `None` for no values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self { low: *sorted.first()?, median: sorted[sorted.len() / 2], high: *sorted.last()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_become_median_and_spread() {
        let mut figures = Figures::default();
        for value in [3.0, 1.0, 2.0] {
            figures.take("ws", "fanout4", Ok(serde_json::json!({"cpu": value, "note": "text"})));
        }
        let spread = Spread { low: 1.0, median: 2.0, high: 3.0 };
        assert_eq!(figures.get("ws", "fanout4", "cpu"), Some(spread));
        assert_eq!(figures.get("ws", "fanout4", "note"), None);
    }
}
