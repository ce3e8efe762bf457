//! What the charts show of the time before the demo ran: sample data like the rest, and marked as filled in.
//!
//! It goes the way of every event, only with the time at which it would have happened: stored, summed, in the room's stream.

use std::collections::BTreeMap;
use std::time::Duration;

use osbackend_protocol::DomainEvent;
use osbackend_protocol::event::MetricValue;
use osbackend_protocol::metrics::{Metrics, PointValue};

use super::{Feed, calls};
use crate::metrics::{MetricQuery, QueryError};
use crate::realtime::{Handle, PublishError};

/// As far back as points are kept by default.
const REACH: Duration = Duration::from_secs(7 * 86_400);
/// A shorter gap is left as it is: the server was away, and the charts may show that.
const LEAST_GAP: Duration = Duration::from_secs(600);
/// How far apart points are, up to which age; the oldest ones last.
const SPACING: [(u64, u64); 3] = [(3_600, 15), (86_400, 60), (u64::MAX, 600)];
/// A value of 1 in each point that was filled in, so that sums tell how many of their points were.
const MARK: &str = "backfilled";
/// Events that are under way at once.
const AT_ONCE: usize = 2_000;

/// Why the past was not filled in.
#[derive(Debug, thiserror::Error)]
pub(super) enum PastError {
    #[error(transparent)]
    Read(#[from] QueryError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Goes on from what is stored, and fills in what is missing up to now.
pub(super) async fn play(handle: &Handle, feed: &mut Feed) -> Result<(), PastError> {
    let now_ms = handle.now_ms();
    let from_ms = now_ms.saturating_sub(REACH.as_millis() as u64);
    let mut newest_ms = None;
    for name in calls::NAMES {
        let query = MetricQuery { limit: 1, ..MetricQuery::of_range(Some(name), from_ms, now_ms) };
        let found = handle.metrics(query).await?;
        feed.calls.resume(&numbers(&found));
        newest_ms = newest_ms.max(found.points.last().map(|point| point.timestamp.0));
    }
    let gap = newest_ms.map_or(REACH, |at| Duration::from_millis(now_ms.saturating_sub(at)));
    if newest_ms.is_none() {
        feed.calls.empty_counters();
    }
    if gap < LEAST_GAP {
        return Ok(());
    }
    let past: Vec<_> =
        feed.past(gap).into_iter().map(|(age, event)| (event, now_ms.saturating_sub(age.as_millis() as u64))).collect();
    tracing::info!(points = past.len(), "sample data for the time before the demo is filled in");
    for some in past.chunks(AT_ONCE) {
        handle.emit_dated(some).await?;
    }
    Ok(())
}

/// The numbers of the newest point.
fn numbers(metrics: &Metrics) -> BTreeMap<String, f64> {
    let values = metrics.points.last().map(|point| &point.values);
    let number = |value: &PointValue| match value {
        PointValue::Plain(MetricValue::Number(number)) => number.as_f64(),
        _ => None,
    };
    values.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), number(value)?))).collect()
}

/// The ages of the points of the last `gap`, oldest first, each with the time to the one before it.
fn ages(gap: Duration) -> impl Iterator<Item = (Duration, Duration)> {
    let mut age = gap.as_secs();
    std::iter::from_fn(move || {
        let (_, step) = SPACING.into_iter().find(|(up_to, _)| age <= *up_to)?;
        age = age.checked_sub(step).filter(|age| *age > 0)?;
        Some((Duration::from_secs(age), Duration::from_secs(step)))
    })
}

impl Feed {
    /// The metrics of the last `gap`, each with its age, oldest first. The live business goes on from there.
    pub(super) fn past(&mut self, gap: Duration) -> Vec<(Duration, DomainEvent)> {
        let mut past = Vec::new();
        for (age, length) in ages(gap) {
            self.calls.coast(length, age, &mut self.random);
            past.extend((0..calls::METRICS).map(|turn| (age, filled_in(self.calls.metric(turn)))));
        }
        past
    }
}

fn filled_in(event: DomainEvent) -> DomainEvent {
    match event {
        DomainEvent::MetricUpdate(mut update) => {
            update.values.insert(MARK.to_owned(), 1_u64.into());
            DomainEvent::MetricUpdate(update)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_is_coarse_at_first_and_fine_at_last() {
        let all: Vec<_> = ages(REACH).map(|(age, _)| age.as_secs()).collect();
        assert!(all.is_sorted_by(|a, b| a > b), "oldest first");
        assert_eq!((all[0], all[all.len() - 1]), (7 * 86_400 - 600, 15));
        assert_eq!(all.iter().filter(|age| **age < 3_600).count(), 239);
        assert!(all.len() < 2_500, "{}", all.len());
        assert_eq!(ages(Duration::ZERO).count(), 0);
    }

    #[test]
    fn what_is_filled_in_is_valid_is_marked_and_leads_to_the_present_without_a_jump() {
        let mut feed = Feed::new(7);
        feed.calls.empty_counters();
        let past = feed.past(REACH);
        for (_, event) in &past {
            assert_eq!(event.validate(), Ok(()), "{event:?}");
            let DomainEvent::MetricUpdate(update) = event else { panic!("{event:?}") };
            assert_eq!(update.values[MARK], 1_u64.into());
        }
        let value = |event: &DomainEvent, metric: &str, name: &str| match event {
            DomainEvent::MetricUpdate(update) if update.metric == metric => match &update.values[name] {
                MetricValue::Number(number) => number.as_f64(),
                _ => None,
            },
            _ => None,
        };
        for (metric, name, step) in [("voice_call", "active", 12.0), ("call_cost", "usd", 5.0), ("conversion", "rate", 2.0)] {
            let last = past.iter().filter_map(|(_, event)| value(event, metric, name)).next_back().unwrap();
            let mut live = Feed { calls: std::mem::replace(&mut feed.calls, calls::Calls::new()), ..Feed::new(1) };
            let first = live.first();
            let next = first.iter().find_map(|happening| match happening {
                super::super::Happening::Event(event) => value(event, metric, name),
                super::super::Happening::Announcement { .. } => None,
            });
            assert!((next.unwrap() - last).abs() <= step, "{metric}.{name}: {last}, then {next:?}");
            feed.calls = live.calls;
        }
    }
}
