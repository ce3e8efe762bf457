//! Metrics as CSV: all of a range, page by page as the reader takes it, in a form that spreadsheets open.

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use osbackend_protocol::{
    event::MetricValue,
    metrics::{Aggregate, MetricPoint, Metrics, PointValue},
};
use std::{borrow::Cow, fmt::Write as _};

use super::ApiError;
use crate::metrics::{Asker, Cursor, MetricQuery, Order, QueryError};
use crate::realtime::Handle;

/// Says that the text is UTF-8: Excel takes it for the system's code page otherwise.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The pages that are still to come.
struct Pages {
    handle: Handle,
    asker: Asker,
    query: MetricQuery,
    /// The one that was read ahead.
    read: Option<Metrics>,
    head: String,
}

/// All of the range, oldest first. The first page is read before the answer begins, so that what is wrong has its status; where a later
/// one can't be read, the connection ends without the last chunk, by which a client knows that it has not got everything.
pub(super) async fn answer(handle: Handle, asker: Asker, query: MetricQuery) -> Result<Response, ApiError> {
    let query = MetricQuery { order: Order::OldestFirst, ..query };
    let columns = if query.interval.is_some() { "min,max,avg,sum,last,count" } else { "value" };
    let head = format!("{BYTE_ORDER_MARK}metric,timestamp,name,{columns}\r\n");
    let read = handle.metrics_for(asker.clone(), query.clone()).await?;
    let pages = Pages { handle, asker, query, read: Some(read), head };
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"metrics.csv\""),
    ];
    // Asked for the next page only once the one before has been written.
    Ok((headers, Body::from_stream(stream::try_unfold(pages, next))).into_response())
}

async fn next(mut pages: Pages) -> Result<Option<(String, Pages)>, QueryError> {
    let page = match pages.read.take() {
        Some(page) => page,
        None if pages.query.cursor.is_none() => return Ok(None),
        None => {
            let read = pages.handle.metrics_for(pages.asker.clone(), pages.query.clone()).await;
            read.inspect_err(|error| {
                let seldom = &pages.handle.shared().meters.seldom;
                if let Some(left_out) = seldom.admits("export", (), pages.handle.now_ms()) {
                    tracing::warn!(%error, left_out, "an export of metrics was broken off");
                }
            })?
        }
    };
    pages.query.cursor = page.cursor.as_deref().and_then(Cursor::parse);
    let mut out = std::mem::take(&mut pages.head);
    page.points.iter().for_each(|point| lines(point, &mut out));
    Ok(Some((out, pages)))
}

/// One line a value: a table whose columns don't depend on which values a metric has.
fn lines(point: &MetricPoint, out: &mut String) {
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

/// Quoted where RFC 4180 asks for it, and where a spreadsheet would take the text for a formula.
fn field(text: &str) -> Cow<'_, str> {
    let text = if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) };
    if text.contains([',', '"', '\r', '\n']) { Cow::Owned(format!("\"{}\"", text.replace('"', "\"\""))) } else { text }
}

/// Whether a spreadsheet may take the text for a formula. A sign before a number, `-5` or `-5 °C`, makes none, as long as nothing
/// follows that calculates, calls or refers: only letters, digits and what stands in and behind numbers.
fn is_formula(text: &str) -> bool {
    let harmless =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | ',' | ' ' | '%' | '°' | '€' | '£' | '¥' | '\u{a0}' | '\u{202f}');
    match text.strip_prefix(['-', '+']) {
        Some(rest) => !(rest.starts_with(|first: char| first.is_ascii_digit()) && rest.chars().all(harmless)),
        // The wide ones are taken for the others where people write with them.
        None => text.starts_with(['=', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']),
    }
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

    #[test]
    fn a_number_with_a_sign_is_left_alone_and_a_formula_is_not() {
        for number in ["-5", "+3", "-5°C", "-5 °C", "-3.25", "-1.5e6", "-12 %", "+49 30 1234", "-7 Äpfel", "5", "5=5", "a-b"] {
            assert_eq!(field(number), number);
        }
        assert_eq!(field("-3,5"), "\"-3,5\"");
        for formula in [
            "-1+2",
            "-1+cmd|' /C calc'!A0",
            "+1-HYPERLINK(\"https://evil.example\")",
            "-5*A1",
            "-5:A1",
            "-5;B2",
            "-5&A1",
            "-5\t=1",
            "-A1",
            "-(1)",
            "--5",
            "+",
            "-",
            "-.5",
            "@SUM(1)",
            "＝1+1",
            "\t=1",
        ] {
            let shown = field(formula);
            assert!(shown.trim_start_matches('"').starts_with('\''), "{formula}: {shown}");
        }
    }
}
