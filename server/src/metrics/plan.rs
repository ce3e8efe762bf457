//! From which stored data a range's aggregates are summed: whole hours from the hours, their edges from minutes, and what is
//! left of those from points. Pure.
//!
//! Where a zone's days begin within an hour of UTC, the range is cut there, so that each of those hours is read from its minutes. Where
//! the minutes are gone, such an hour counts wholly to the day in which it began.

use super::{Keep, aggregate::floor, zone::Spans};
use osbackend_protocol::metrics::Interval;

const MINUTE: u64 = Interval::Minute.ms();
const HOUR: u64 = Interval::Hour.ms();

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Points.
    Raw,
    /// Sums of spans so long, in milliseconds.
    Sums(u64),
}

/// Read this from `from` (included) to `end` (excluded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) source: Source,
    pub(super) from: u64,
    pub(super) end: u64,
}

/// From when on points and minutes are still there, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    raw_since: u64,
    minutes_since: u64,
}

impl Kept {
    pub(super) fn new(keep: &Keep, now_ms: u64) -> Self {
        let (raw, minutes) = (Keep::since(keep.raw, now_ms), Keep::since(keep.minutes, now_ms));
        Self { raw_since: raw, minutes_since: minutes }
    }
}

/// The segments of a range, newest first, without overlap. Where a finer source is no longer kept, the next coarser one stands
/// in for it: then an edge is rounded to a whole minute or hour.
pub(super) fn plan(from: u64, end: u64, spans: &mut Spans, kept: Kept) -> Vec<Segment> {
    let mut plan = Vec::new();
    if spans.interval() < Interval::Hour {
        minutes(from, end, kept, &mut plan);
        return plan;
    }
    let mut end = end;
    if spans.has_zone() {
        let mut day = spans.of(end.saturating_sub(1)).0;
        while from < day && floor(day, HOUR) >= kept.minutes_since {
            if !day.is_multiple_of(HOUR) {
                hours(day, end, kept, &mut plan);
                end = day;
            }
            day = spans.of(day - 1).0;
        }
    }
    hours(from, end, kept, &mut plan);
    plan
}

/// Whole hours, and their edges.
fn hours(from: u64, end: u64, kept: Kept, plan: &mut Vec<Segment>) {
    let (first, last) = (ceil(from, HOUR), floor(end, HOUR));
    if first >= last {
        edge(from, end, kept, plan);
    } else {
        edge(last, end, kept, plan);
        push(Source::Sums(HOUR), first, last, plan);
        edge(from, first, kept, plan);
    }
}

/// Less than an hour on either side of whole ones.
fn edge(from: u64, end: u64, kept: Kept, plan: &mut Vec<Segment>) {
    if from < end && from < kept.minutes_since {
        push(Source::Sums(HOUR), floor(from, HOUR), ceil(end, HOUR), plan);
    } else {
        minutes(from, end, kept, plan);
    }
}

fn minutes(from: u64, end: u64, kept: Kept, plan: &mut Vec<Segment>) {
    let (mut first, mut last) = (ceil(from, MINUTE), floor(end, MINUTE));
    if first > last {
        // All within one minute.
        if from < kept.raw_since {
            return push(Source::Sums(MINUTE), floor(from, MINUTE), ceil(end, MINUTE), plan);
        }
        return push(Source::Raw, from, end, plan);
    }
    if last < kept.raw_since {
        last = ceil(end, MINUTE);
    }
    if from < kept.raw_since {
        first = floor(from, MINUTE);
    }
    push(Source::Raw, last, end, plan);
    push(Source::Sums(MINUTE), first, last, plan);
    push(Source::Raw, from, first, plan);
}

fn push(source: Source, from: u64, end: u64, plan: &mut Vec<Segment>) {
    if from < end {
        plan.push(Segment { source, from, end });
    }
}

const fn ceil(at: u64, length: u64) -> u64 {
    at.div_ceil(length) * length
}

#[cfg(test)]
mod tests {
    use super::super::zone::Zone;
    use super::*;
    use proptest::prelude::*;

    const ALL: Kept = Kept { raw_since: 0, minutes_since: 0 };

    fn of(interval: Interval) -> Spans {
        Spans::new(interval, None)
    }

    fn sources(from: u64, end: u64, interval: Interval, kept: Kept) -> Vec<(Source, u64, u64)> {
        plan(from, end, &mut of(interval), kept).iter().map(|segment| (segment.source, segment.from, segment.end)).collect()
    }

    #[test]
    fn hours_have_edges_of_minutes_and_points() {
        let (from, end) = (HOUR - 90_000, 3 * HOUR + 61_000);
        assert_eq!(
            sources(from, end, Interval::Hour, ALL),
            [
                (Source::Raw, 3 * HOUR + MINUTE, end),
                (Source::Sums(MINUTE), 3 * HOUR, 3 * HOUR + MINUTE),
                (Source::Sums(HOUR), HOUR, 3 * HOUR),
                (Source::Sums(MINUTE), HOUR - MINUTE, HOUR),
                (Source::Raw, from, HOUR - MINUTE),
            ]
        );
    }

    #[test]
    fn what_is_gone_is_stood_in_for_by_what_is_coarser() {
        let kept = Kept { raw_since: 10 * HOUR, minutes_since: 2 * HOUR };
        assert_eq!(
            sources(HOUR + 5, 3 * HOUR + 5, Interval::Day, kept),
            [
                (Source::Sums(MINUTE), 3 * HOUR, 3 * HOUR + MINUTE),
                (Source::Sums(HOUR), 2 * HOUR, 3 * HOUR),
                (Source::Sums(HOUR), HOUR, 2 * HOUR)
            ]
        );
        assert_eq!(sources(HOUR + 5, HOUR + 9, Interval::Minute, kept), [(Source::Sums(MINUTE), HOUR, HOUR + MINUTE)]);
    }

    #[test]
    fn days_that_begin_within_an_hour_are_cut_there_while_there_are_minutes() {
        const HALF: u64 = HOUR / 2;
        let mut kolkata = Spans::new(Interval::Day, Zone::named("Asia/Kolkata"));
        let day = 24 * HOUR;
        // 18:30 in UTC is midnight there.
        let midnight = 18 * HOUR + HALF;
        let (first, second) = (100 * day + midnight, 101 * day + midnight);
        let shown = |plan: Vec<Segment>| plan.iter().map(|part| (part.source, part.from, part.end)).collect::<Vec<_>>();
        assert_eq!(
            shown(plan(first, second + day, &mut kolkata, ALL)),
            [
                (Source::Sums(MINUTE), second + day - HALF, second + day),
                (Source::Sums(HOUR), second + HALF, second + day - HALF),
                (Source::Sums(MINUTE), second, second + HALF),
                (Source::Sums(MINUTE), second - HALF, second),
                (Source::Sums(HOUR), first + HALF, second - HALF),
                (Source::Sums(MINUTE), first, first + HALF),
            ]
        );
        // The minutes of the first day are gone: its last hour is read once, and is its own.
        let kept = Kept { raw_since: second + HOUR, minutes_since: second + HOUR };
        assert_eq!(
            shown(plan(first, second + day, &mut kolkata, kept)),
            [
                (Source::Sums(MINUTE), second + day - HALF, second + day),
                (Source::Sums(HOUR), first + HALF, second + day - HALF),
                (Source::Sums(HOUR), first - HALF, first + HALF),
            ]
        );
    }

    proptest! {
        #[test]
        fn whatever_the_zone_and_whatever_is_gone_segments_never_overlap_and_miss_nothing(
            from in 0..90 * 24 * HOUR, length in 1..90 * 24 * HOUR, zone in 0..4_usize, minutes in 0..200 * 24 * HOUR
        ) {
            let zone = ["Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Europe/Berlin"][zone];
            let mut spans = Spans::new(Interval::Day, Zone::named(zone));
            // In a year in which these zones are what they are today.
            let from = 20_454 * 24 * HOUR + from;
            let kept = Kept { raw_since: 0, minutes_since: 20_454 * 24 * HOUR + minutes };
            let plan = plan(from, from + length, &mut spans, kept);
            for pair in plan.windows(2) {
                prop_assert_eq!(pair[1].end, pair[0].from, "{:?}", plan);
            }
            let (last, first) = (plan.first().unwrap(), plan.last().unwrap());
            prop_assert!(first.from <= from && from + length <= last.end, "{:?}", plan);
            prop_assert!(from - first.from < HOUR && last.end - from - length < HOUR, "{:?}", plan);
        }

        #[test]
        fn while_all_is_kept_segments_meet_and_cover_exactly_the_range(
            from in 0..10 * HOUR, length in 1..10 * HOUR, interval in 0..4_usize
        ) {
            let interval = Interval::ALL[interval];
            let end = from + length;
            let mut at = end;
            for segment in plan(from, end, &mut of(interval), ALL) {
                prop_assert_eq!(segment.end, at);
                if let Source::Sums(length) = segment.source {
                    prop_assert_eq!((segment.from % length, segment.end % length), (0, 0));
                }
                at = segment.from;
            }
            prop_assert_eq!(at, from);
        }

        #[test]
        fn whatever_is_gone_segments_never_overlap(
            from in 0..10 * HOUR, length in 1..10 * HOUR, interval in 0..4_usize, raw in 0..20 * HOUR, minutes in 0..20 * HOUR
        ) {
            let interval = Interval::ALL[interval];
            let kept = Kept { raw_since: raw, minutes_since: minutes.min(raw) };
            let plan = plan(from, from + length, &mut of(interval), kept);
            for pair in plan.windows(2) {
                prop_assert!(pair[1].end <= pair[0].from, "{:?}", plan);
            }
        }
    }
}
