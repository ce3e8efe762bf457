//! Stored metrics (§3): what `metrics:get` asks for and what it answers, points or aggregates.

use crate::{
    event::MetricValue,
    timestamp::{self, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A span of time over which values are aggregated; spans begin at whole minutes, hours and days of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub enum Interval {
    /// A minute.
    #[serde(rename = "1m")]
    Minute,
    /// An hour.
    #[serde(rename = "1h")]
    Hour,
    /// A day.
    #[serde(rename = "1d")]
    Day,
}

impl Interval {
    /// Its length in milliseconds.
    pub const fn ms(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// As on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "1m",
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
    pub start_date: Option<Timestamp>,
    /// Up to this time (a date: to the end of that day).
    #[serde(default, deserialize_with = "timestamp::range_end", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub end_date: Option<Timestamp>,
    /// Aggregates of each numeric value over such spans of time, instead of the points themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub interval: Option<Interval>,
    /// The most points, newest kept; 1 to 1000, 1000 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub limit: Option<u32>,
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
    /// The points, newest last.
    pub points: Vec<MetricPoint>,
}

#[cfg(test)]
mod tests {
    use super::*;

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
