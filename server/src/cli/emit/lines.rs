//! NDJSON from stdin: one event a line, with the line's number for errors.

use serde::Deserialize;
use serde_json::value::RawValue;

/// One event of the input.
#[derive(Debug)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// Where it goes; `None`: where its type says.
    pub(super) room: Option<String>,
    /// `{type, data}`, as the API takes it.
    pub(super) event: String,
}

/// A line, or a part of it, can't be an event.
#[derive(Debug, thiserror::Error)]
#[error("line {number}: {reason}")]
pub(super) struct LineError {
    pub(super) number: u64,
    pub(super) reason: String,
}

#[derive(Deserialize)]
struct Given<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    room: Option<String>,
}

/// `{type, data}` as JSON text; `data` is JSON already.
pub(super) fn event(kind: &str, data: &str) -> String {
    format!("{{\"type\":{},\"data\":{data}}}", serde_json::Value::from(kind))
}

/// Reads a line; an empty one is none. With a type from the command line the whole line is the event's data.
pub(super) fn read(number: u64, text: &str, kind: Option<&str>, room: Option<&str>) -> Result<Option<Line>, LineError> {
    let text = text.trim();
    let error = |reason: String| LineError { number, reason };
    if text.is_empty() {
        return Ok(None);
    }
    if !text.starts_with('{') {
        return Err(error("must be a JSON object".to_owned()));
    }
    let room = room.map(str::to_owned);
    if let Some(kind) = kind {
        let data: &RawValue = serde_json::from_str(text).map_err(|bad| error(not_json(&bad)))?;
        return Ok(Some(Line { number, room, event: event(kind, data.get()) }));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let given: Given<'_> = serde_path_to_error::deserialize(&mut deserializer).map_err(|bad| match bad.path().to_string() {
        path if path == "." => error(not_json(bad.inner())),
        path => error(format!("{path}: {}", not_json(bad.inner()))),
    })?;
    deserializer.end().map_err(|bad| error(not_json(&bad)))?;
    let kind = given.kind.ok_or_else(|| error("type: is missing; a line is {\"type\":…,\"data\":{…}}".to_owned()))?;
    let data = given.data.ok_or_else(|| error("data: is missing; a line is {\"type\":…,\"data\":{…}}".to_owned()))?;
    Ok(Some(Line { number, room: room.or(given.room), event: event(&kind, data.get()) }))
}

/// The parser's message with the column alone: the line is ours to count.
fn not_json(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message.rfind(" at line ").map_or(message.as_str(), |at| &message[..at]);
    format!("{message} (column {})", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        read(3, text, None, None).unwrap_err().to_string()
    }

    #[test]
    fn a_line_is_an_event() {
        let line = read(1, r#" {"type":"note","data":{"a": 1},"room":"agent:7","extra":0} "#, None, None).unwrap().unwrap();
        assert_eq!((line.event.as_str(), line.room.as_deref()), (r#"{"type":"note","data":{"a": 1}}"#, Some("agent:7")));
        let line = read(1, r#"{"a":1}"#, Some("note"), Some("agent:8")).unwrap().unwrap();
        assert_eq!((line.event.as_str(), line.room.as_deref()), (r#"{"type":"note","data":{"a":1}}"#, Some("agent:8")));
        assert!(read(1, "  ", None, None).unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_field() {
        assert!(reason("[1]").starts_with("line 3: must be a JSON object"));
        assert!(reason(r#"{"type":"a","data":}"#).starts_with("line 3: data: expected value (column"));
        assert!(reason(r#"{"type":1,"data":{}}"#).starts_with("line 3: type: invalid type"));
        assert!(reason(r#"{"data":{}}"#).starts_with("line 3: type: is missing"));
        assert!(reason(r#"{"type":"a"}"#).starts_with("line 3: data: is missing"));
        assert!(reason(r#"{"type":"a","data":{}} x"#).starts_with("line 3: trailing characters"));
    }
}
