//! Spans of time and the days of a place: which span a time is in, with the days of a zone as long as its clocks make them.

use jiff::{Timestamp as Instant, Zoned, civil::Date, tz::TimeZone};
use osbackend_protocol::{Timestamp, metrics::Interval, timestamp::DateOrTime};

/// An IANA time zone, from the rules that are compiled in: every server answers the same, wherever it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of this name, such as `Europe/Berlin`, whatever the case of its letters.
    pub fn named(name: &str) -> Option<Self> {
        let zone = TimeZone::get(name).ok()?;
        zone.iana_name().is_some().then_some(Self(zone))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Where a range that begins so begins, in milliseconds since 1970.
    pub(super) fn begin(zone: Option<&Self>, start: DateOrTime) -> u64 {
        match (zone, start) {
            (Some(zone), DateOrTime::Date(midnight)) => zone.midnight(midnight, 0).unwrap_or(midnight.0),
            (_, start) => start.begin().0,
        }
    }

    /// The last millisecond of a range that ends so.
    pub(super) fn end(zone: Option<&Self>, end: DateOrTime) -> u64 {
        match (zone, end) {
            (Some(zone), DateOrTime::Date(midnight)) => {
                zone.midnight(midnight, 1).map_or(end.end().0, |next| next.saturating_sub(1))
            }
            (_, end) => end.end().0,
        }
    }

    /// The begin, here, of the date that is written as this midnight in UTC, or of the date so many days later.
    fn midnight(&self, date: Timestamp, later: i64) -> Option<u64> {
        let days = i64::try_from(date.0 / Interval::Day.ms()).ok()?.checked_add(later)?;
        let date = Date::constant(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
        millis(&date.to_zoned(self.0.clone()).ok()?.start_of_day().ok()?)
    }

    /// Begin and end of the day that `at_ms` is in.
    fn day(&self, at_ms: u64) -> Option<(u64, u64)> {
        let at = Instant::from_millisecond(i64::try_from(at_ms).ok()?).ok()?.to_zoned(self.0.clone());
        let begin = at.start_of_day().ok()?;
        let end = begin.tomorrow().ok()?.start_of_day().ok()?;
        // The first day of 1970 may have begun before the times that the protocol has.
        Some((millis(&begin).unwrap_or(0), millis(&end)?))
    }
}

fn millis(at: &Zoned) -> Option<u64> {
    u64::try_from(at.timestamp().as_millisecond()).ok()
}

/// The spans of an interval.
#[derive(Clone, Debug)]
pub(super) struct Spans {
    interval: Interval,
    zone: Option<Zone>,
    /// The span that was looked for last: what is read comes in the order of time.
    last: (u64, u64),
}

impl Spans {
    pub(super) fn new(interval: Interval, zone: Option<Zone>) -> Self {
        Self { interval, zone, last: (0, 0) }
    }

    pub(super) fn interval(&self) -> Interval {
        self.interval
    }

    /// Whether spans may begin within an hour of UTC.
    pub(super) fn has_zone(&self) -> bool {
        self.zone.is_some()
    }

    /// Begin (included) and end (excluded) of the span that `at_ms` is in.
    pub(super) fn of(&mut self, at_ms: u64) -> (u64, u64) {
        if !(self.last.0..self.last.1).contains(&at_ms) {
            let length = self.interval.ms();
            let begin = at_ms - at_ms % length;
            let utc = (begin, begin.saturating_add(length));
            // Beyond the years that the library has, days are UTC's.
            self.last = self.zone.as_ref().and_then(|zone| zone.day(at_ms)).unwrap_or(utc);
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn day(zone: &str, at: &str) -> (String, u64) {
        let mut spans = Spans::new(Interval::Day, Zone::named(zone));
        assert!(spans.has_zone());
        let (begin, end) = spans.of(Timestamp::parse(at).unwrap().0);
        (Timestamp(begin).to_string(), (end - begin) / (HOUR / 2))
    }

    #[test]
    fn a_day_is_as_long_as_the_clocks_make_it() {
        // In halves of an hour.
        let expected = |begin: &str, halves| (begin.to_owned(), halves);
        assert_eq!(day("Europe/Berlin", "2026-03-29T12:00:00Z"), expected("2026-03-28T23:00:00.000Z", 46));
        assert_eq!(day("Europe/Berlin", "2026-03-29T22:00:00Z"), expected("2026-03-29T22:00:00.000Z", 48));
        assert_eq!(day("Europe/Berlin", "2026-10-25T12:00:00Z"), expected("2026-10-24T22:00:00.000Z", 50));
        assert_eq!(day("europe/berlin", "2026-10-25T23:00:00Z"), expected("2026-10-25T23:00:00.000Z", 48));
        assert_eq!(day("Asia/Kolkata", "2026-10-25T18:30:00Z"), expected("2026-10-25T18:30:00.000Z", 48));
        assert_eq!(day("Australia/Lord_Howe", "2026-10-03T20:00:00Z"), expected("2026-10-03T13:30:00.000Z", 47));
        // The day begins at one o'clock there: the clocks go forward at midnight.
        assert_eq!(day("Africa/Cairo", "2026-04-24T12:00:00Z"), expected("2026-04-23T22:00:00.000Z", 46));
    }

    #[test]
    fn a_time_beyond_all_years_has_a_span_too() {
        for at in [0, 1, u64::MAX / 2, u64::MAX - 1] {
            let (begin, end) = Spans::new(Interval::Day, Zone::named("Asia/Kolkata")).of(at);
            assert!((begin..end).contains(&at), "{at}");
        }
    }

    #[test]
    fn a_name_that_no_zone_has_is_none() {
        for name in ["", "Mars/Olympus", "../../etc/passwd", "+02:00", "Europe"] {
            assert_eq!(Zone::named(name), None, "{name}");
        }
        assert_eq!(Zone::named("asia/kolkata").unwrap().name(), "Asia/Kolkata");
    }
}
