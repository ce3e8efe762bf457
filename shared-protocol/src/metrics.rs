//! Stored metrics (§3): what `metrics:get` asks for and what it answers, points or aggregates.

use crate::{
    event::MetricValue,
    timestamp::{DateOrTime, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A span of time over which values are aggregated; spans begin at whole minutes, quarters of an hour, hours and days of UTC, days
/// with a `tz` at that zone's midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub enum Interval {
    /// A minute.
    #[serde(rename = "1m")]
    Minute,
    /// A quarter of an hour.
    #[serde(rename = "15m")]
    Quarter,
    /// An hour.
    #[serde(rename = "1h")]
    Hour,
    /// A day.
    #[serde(rename = "1d")]
    Day,
}

impl Interval {
    /// All of them, shortest first.
    pub const ALL: [Self; 4] = [Self::Minute, Self::Quarter, Self::Hour, Self::Day];

    /// The interval of this name on the wire.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.name() == name)
    }

    /// Its length in milliseconds; a day of a `tz` whose clocks change is an hour or so shorter or longer.
    pub const fn ms(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Quarter => 900_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// As on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::Quarter => "15m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }
}

/// What is known of one numeric value over a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Aggregate {
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// Their mean.
    pub avg: f64,
    /// Their sum.
    pub sum: f64,
    /// The newest.
    pub last: f64,
    /// How many.
    pub count: u64,
}

/// A value of a stored point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub enum PointValue {
    /// As it was published.
    Plain(MetricValue),
    /// Over an interval.
    Aggregate(Aggregate),
}

/// `metrics:get`: points of the stored metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct MetricsGet {
    /// Only this metric.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub kind: Option<String>,
    /// From this time on (a date, or a full time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub start_date: Option<DateOrTime>,
    /// Up to this time (a date: to the end of that day).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub end_date: Option<DateOrTime>,
    /// Aggregates of each numeric value over such spans of time, instead of the points themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub interval: Option<Interval>,
    /// With the interval `1d`: whose days, by the name of an IANA zone such as `Europe/Berlin`; UTC when left out. Dates are days of
    /// this zone, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub tz: Option<String>,
    /// The most points, newest kept; 1 to 10000; as many as the answer holds when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub limit: Option<u32>,
    /// The `cursor` of a truncated answer to this question: what comes before its points. The dates are then those of the first
    /// question, whatever is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub cursor: Option<String>,
}

/// A stored value of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct MetricPoint {
    /// The metric.
    pub metric: String,
    /// When; with an interval, the begin of the span (UTC).
    pub timestamp: Timestamp,
    /// Its values; with an interval, the aggregates of the numeric ones.
    pub values: BTreeMap<String, PointValue>,
}

/// `metrics`: points in a range, newest last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Metrics {
    /// The metric that was asked for.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub kind: Option<String>,
    /// Begin of the range.
    pub from: Timestamp,
    /// End of the range.
    pub to: Timestamp,
    /// The interval that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub interval: Option<Interval>,
    /// The zone that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub tz: Option<String>,
    /// The points, newest last.
    pub points: Vec<MetricPoint>,
    /// There are older points in the range than these: `cursor` says where to go on. Left out where these are all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(optional, as = "Option<bool>"))]
    pub truncated: bool,
    /// With `truncated`: the same question with this `cursor` is answered with the points before these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_found_by_its_name() {
        for interval in Interval::ALL {
            assert_eq!(Interval::of_name(interval.name()), Some(interval));
            assert_eq!(serde_json::to_string(&interval).unwrap(), format!("\"{}\"", interval.name()));
        }
        assert_eq!(Interval::of_name("2m"), None);
    }

    #[test]
    fn a_value_is_plain_or_an_aggregate() {
        let plain: PointValue = serde_json::from_str("3").unwrap();
        assert_eq!(plain, PointValue::Plain(3_u64.into()));
        let text = r#"{"min":1.0,"max":3.0,"avg":2.0,"sum":4.0,"last":3.0,"count":2}"#;
        let aggregate: PointValue = serde_json::from_str(text).unwrap();
        assert!(matches!(aggregate, PointValue::Aggregate(Aggregate { count: 2, .. })));
        assert_eq!(serde_json::to_string(&aggregate).unwrap(), text);
    }
}
