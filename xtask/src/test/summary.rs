//! What the stages came to: a table of results and times, the failures, and one closing line.

use std::fmt;
use std::time::Duration;

/// How a stage ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Passed,
    Failed(anyhow::Error),
}

#[derive(Debug)]
struct Line {
    name: &'static str,
    took: Duration,
    outcome: Outcome,
}

/// The results so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    lines: Vec<Line>,
}

impl Summary {
    pub(super) fn add(&mut self, name: &'static str, took: Duration, outcome: Outcome) {
        self.lines.push(Line { name, took, outcome });
    }

    /// Whether a stage of this name ran and failed.
    pub(super) fn failed(&self, name: &str) -> bool {
        self.failures().any(|(line, _)| line.name == name)
    }

    pub(super) fn is_success(&self) -> bool {
        self.failures().next().is_none()
    }

    fn failures(&self) -> impl Iterator<Item = (&Line, &anyhow::Error)> {
        self.lines.iter().filter_map(|line| match &line.outcome {
            Outcome::Passed => None,
            Outcome::Failed(error) => Some((line, error)),
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            let word = match line.outcome {
                Outcome::Passed => "ok",
                Outcome::Failed(_) => "FAILED",
            };
            writeln!(f, "{word:<7} {:<14} {:>7.1} s", line.name, line.took.as_secs_f64())?;
        }
        let total: Duration = self.lines.iter().map(|line| line.took).sum();
        writeln!(f, "{:<22} {:>7.1} s\n", "together", total.as_secs_f64())?;
        for (line, error) in self.failures() {
            writeln!(f, "{} failed: {error:#}\n", line.name)?;
        }
        let failed = self.failures().count();
        write!(f, "{} passed, {failed} failed", self.lines.len() - failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_and_failures_are_named() {
        let mut summary = Summary::default();
        summary.add("one", Duration::from_millis(1500), Outcome::Passed);
        assert!(summary.is_success());
        summary.add("two", Duration::ZERO, Outcome::Failed(anyhow::anyhow!("it broke")));
        assert!(summary.failed("two") && !summary.failed("one") && !summary.is_success());
        let text = summary.to_string();
        assert!(text.contains("two failed: it broke"), "{text}");
        assert!(text.ends_with("\n1 passed, 1 failed"), "{text}");
    }
}
