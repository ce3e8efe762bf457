//! `GET /api/ws/metrics`: `metrics:get` over HTTP, as JSON or CSV.

use axum::{
    Json,
    extract::State,
    http::{Extensions, HeaderMap},
    response::{IntoResponse, Response},
};
use osbackend_protocol::{
    Action, RoomName,
    metrics::{Interval, MetricsGet},
    timestamp::DateOrTime,
};
use serde::Deserialize;

use super::{Api, ApiError, caller::Caller, query::Asked};
use crate::limits::address;
use crate::metrics::{self, Asker, MetricQuery};

mod csv;

/// Bytes of the points of one answer in JSON: no queue of a connection has to hold it, so it may be larger than on a socket.
const PAGE_BYTES: usize = 1024 * 1024;

/// The same names as in `metrics:get`, each as text. A name that is none of these is refused: it may be a misspelt one, and the
/// answer then another than was asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MetricsQuery {
    #[serde(rename = "type")]
    kind: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    interval: Option<String>,
    tz: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
    /// `json` or `csv`; the `Accept` header where it is left out.
    format: Option<String>,
}

pub(super) async fn metrics(
    State(api): State<Api>,
    Caller(caller): Caller,
    extensions: Extensions,
    headers: HeaderMap,
    query: Result<Asked<MetricsQuery>, ApiError>,
) -> Result<Response, ApiError> {
    let overview = RoomName::parse(metrics::ROOM)?;
    api.handle.allowed(caller.as_ref(), &overview, Action::Join)?;
    let Asked(query) = query?;
    let as_csv = wants_csv(&query, &headers)?;
    let given = [("limit", query.limit.is_some()), ("cursor", query.cursor.is_some())];
    let query = MetricQuery::new(asked(query)?, api.handle.wall_ms()).map_err(ApiError::bad_request)?;
    let asker = match (caller, api.limits.address(&extensions, &headers)) {
        (Some(user), _) => Asker::User(user.sub.into()),
        (None, Some(address)) => Asker::Address(address::group(address)),
        (None, None) => Asker::Anyone,
    };
    if as_csv {
        if let Some((field, _)) = given.into_iter().find(|(_, given)| *given) {
            let message = format!("{field}: a CSV holds all of its range; narrow it with startDate and endDate");
            return Err(ApiError::bad_request(message));
        }
        return csv::answer(api.handle, asker, query).await;
    }
    let query = MetricQuery { bytes: PAGE_BYTES, ..query };
    Ok(Json(api.handle.metrics_for(asker, query).await?).into_response())
}

fn wants_csv(query: &MetricsQuery, headers: &HeaderMap) -> Result<bool, ApiError> {
    match query.format.as_deref() {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(_) => Err(ApiError::bad_request("format: must be json or csv")),
        None => {
            let accept = headers.get(axum::http::header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
            Ok(accept.split(',').any(|kind| kind.trim().starts_with("text/csv")))
        }
    }
}

fn asked(query: MetricsQuery) -> Result<MetricsGet, ApiError> {
    let time = |field: &str, text: Option<String>| {
        let time = text.map(|text| DateOrTime::parse(&with_plus(text))).transpose();
        time.map_err(|error| ApiError::bad_request(format!("{field}: {error}")))
    };
    let interval = match query.interval.as_deref() {
        None => None,
        Some(name) => match Interval::of_name(name) {
            None => return Err(ApiError::bad_request("interval: must be 1m, 15m, 1h or 1d")),
            interval => interval,
        },
    };
    let limit =
        query.limit.map(|limit| limit.parse().map_err(|_| ApiError::bad_request("limit: must be 1 to 10000"))).transpose()?;
    Ok(MetricsGet {
        kind: query.kind,
        start_date: time("startDate", query.start_date)?,
        end_date: time("endDate", query.end_date)?,
        interval,
        // No zone has a space in its name, and `Etc/GMT+5` a plus.
        tz: query.tz.map(|tz| tz.replace(' ', "+")),
        limit,
        cursor: query.cursor,
    })
}

/// A time with an offset, as it was typed: in a URL `+02:00` arrives as ` 02:00`.
fn with_plus(text: String) -> String {
    match text.split_once(' ') {
        Some((time, offset)) if time.contains('T') && !offset.contains(' ') => format!("{time}+{offset}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_in_a_time_is_what_was_typed_and_nothing_else_is_changed() {
        assert_eq!(with_plus("2026-03-29T00:00:00 02:00".to_owned()), "2026-03-29T00:00:00+02:00");
        for text in ["2026-03-29T00:00:00+02:00", "2026-03-29T00:00:00-02:00", "2026-03-29", "29 March", "2026-03-29T00 00 02:00"]
        {
            assert_eq!(with_plus(text.to_owned()), text);
        }
    }
}
