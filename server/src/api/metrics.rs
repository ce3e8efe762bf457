//! `GET /api/ws/metrics`: `metrics:get` over HTTP, as JSON or CSV.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use osbackend_protocol::{
    Action, RoomName, Timestamp,
    event::MetricValue,
    metrics::{Aggregate, Interval, Metrics, MetricsGet, PointValue},
};
use serde::Deserialize;
use std::{borrow::Cow, fmt::Write as _};

use super::{Api, ApiError, caller::Caller, query::Asked};
use crate::metrics::{self, MetricQuery};

/// The same names as in `metrics:get`, each as text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MetricsQuery {
    #[serde(rename = "type")]
    kind: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    interval: Option<String>,
    limit: Option<String>,
    /// `json` or `csv`; the `Accept` header where it is left out.
    format: Option<String>,
}

pub(super) async fn metrics(
    State(api): State<Api>,
    Caller(caller): Caller,
    headers: HeaderMap,
    query: Result<Asked<MetricsQuery>, ApiError>,
) -> Result<Response, ApiError> {
    let overview = RoomName::parse(metrics::ROOM)?;
    api.handle.allowed(caller.as_ref(), &overview, Action::Join)?;
    let Asked(query) = query?;
    let as_csv = wants_csv(&query, &headers)?;
    let query = MetricQuery::new(asked(query)?, api.handle.wall_ms()).map_err(ApiError::bad_request)?;
    let metrics = api.handle.metrics(query).await.map_err(ApiError::unavailable)?;
    if !as_csv {
        return Ok(Json(metrics).into_response());
    }
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"metrics.csv\""),
    ];
    Ok((headers, csv(&metrics)).into_response())
}

fn wants_csv(query: &MetricsQuery, headers: &HeaderMap) -> Result<bool, ApiError> {
    match query.format.as_deref() {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(_) => Err(ApiError::bad_request("format: must be json or csv")),
        None => {
            let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
            Ok(accept.split(',').any(|kind| kind.trim().starts_with("text/csv")))
        }
    }
}

fn asked(query: MetricsQuery) -> Result<MetricsGet, ApiError> {
    let time = |field: &str,
                text: Option<String>,
                parse: fn(&str) -> Result<Timestamp, osbackend_protocol::timestamp::TimestampError>| {
        text.map(|text| parse(&text)).transpose().map_err(|error| ApiError::bad_request(format!("{field}: {error}")))
    };
    let interval = match query.interval.as_deref() {
        None => None,
        Some("1m") => Some(Interval::Minute),
        Some("1h") => Some(Interval::Hour),
        Some("1d") => Some(Interval::Day),
        Some(_) => return Err(ApiError::bad_request("interval: must be 1m, 1h or 1d")),
    };
    let limit =
        query.limit.map(|limit| limit.parse().map_err(|_| ApiError::bad_request("limit: must be 1 to 1000"))).transpose()?;
    Ok(MetricsGet {
        kind: query.kind,
        start_date: time("startDate", query.start_date, Timestamp::parse)?,
        end_date: time("endDate", query.end_date, Timestamp::parse_end)?,
        interval,
        limit,
    })
}

/// One line a value: a table whose columns don't depend on which values a metric has.
fn csv(metrics: &Metrics) -> String {
    let mut out = String::new();
    out.push_str(if metrics.interval.is_some() {
        "metric,timestamp,name,min,max,avg,sum,last,count\r\n"
    } else {
        "metric,timestamp,name,value\r\n"
    });
    for point in &metrics.points {
        for (name, value) in &point.values {
            let _ = write!(out, "{},{},{},", field(&point.metric), point.timestamp, field(name));
            let _ = match value {
                PointValue::Plain(MetricValue::Number(number)) => write!(out, "{number}"),
                PointValue::Plain(MetricValue::Text(text)) => write!(out, "{}", field(text)),
                PointValue::Plain(MetricValue::Bool(flag)) => write!(out, "{flag}"),
                PointValue::Plain(MetricValue::Null(())) => Ok(()),
                PointValue::Aggregate(Aggregate { min, max, avg, sum, last, count }) => {
                    write!(out, "{min},{max},{avg},{sum},{last},{count}")
                }
            };
            out.push_str("\r\n");
        }
    }
    out
}

/// Quoted where RFC 4180 asks for it, and where a spreadsheet would take the text for a formula.
fn field(text: &str) -> Cow<'_, str> {
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    };
    if text.contains([',', '"', '\r', '\n']) { Cow::Owned(format!("\"{}\"", text.replace('"', "\"\""))) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_where_it_must_be() {
        assert_eq!(field("plain"), "plain");
        assert_eq!(field("a,b"), "\"a,b\"");
        assert_eq!(field("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(field("=1+1"), "'=1+1");
        assert_eq!(field("\r=1"), "\"'\r=1\"");
    }
}
