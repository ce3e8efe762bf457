//! How an event is printed: aligned and coloured for people, one JSON object a line for programs.

use osbackend_client::Event;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::terminal::{Paint, harmless};

/// The widest type that others are aligned with.
const MOST_WIDTH: usize = 28;

/// Either form.
pub(super) enum Printer {
    Human { paint: Paint, rooms: usize, types: usize },
    Json,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    room: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    snapshot: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    #[serde(skip_serializing_if = "is_zero")]
    skipped: u64,
    data: &'a RawValue,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Printer {
    /// For people who follow these rooms.
    pub(super) fn human(paint: Paint, rooms: &[String]) -> Self {
        Self::Human { paint, rooms: rooms.iter().map(String::len).max().unwrap_or(0), types: 12 }
    }

    /// The event as a line.
    pub(super) fn line(&mut self, event: &Event) -> String {
        match self {
            Self::Json => json(event),
            Self::Human { paint, rooms, types } => {
                let kind = harmless(&event.kind);
                *types = (*types).max(kind.chars().count()).min(MOST_WIDTH);
                // The time of day of an ISO 8601 time.
                let time = event.timestamp.as_deref().and_then(|time| time.get(11..23)).unwrap_or("            ");
                let room = format!("{:<rooms$}", event.room);
                let mark = match (event.snapshot, event.offset, event.skipped) {
                    (true, ..) => paint.dim("snapshot "),
                    (_, None, _) => paint.dim("ephemeral "),
                    (.., skipped) if skipped > 0 => paint.yellow(&format!("{skipped} conflated ")),
                    _ if event.replayed => paint.dim("replayed "),
                    _ => String::new(),
                };
                let kind = paint.by_name(&format!("{kind:<types$}"));
                format!("{}  {}  {kind}  {mark}{}", paint.dim(time), paint.bold(&room), harmless(event.data.get()))
            }
        }
    }
}

fn json(event: &Event) -> String {
    let line = Line {
        kind: &event.kind,
        room: &event.room,
        offset: event.offset,
        event_id: event.event_id.as_deref(),
        timestamp: event.timestamp.as_deref(),
        snapshot: event.snapshot,
        replayed: event.replayed,
        skipped: event.skipped,
        data: &event.data,
    };
    // Names and numbers, and data that is JSON already: there is nothing that can't be written.
    serde_json::to_string(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str) -> Event {
        Event {
            kind: kind.to_owned(),
            room: "agent:7".to_owned(),
            data: RawValue::from_string(data.to_owned()).unwrap(),
            offset: Some(3),
            event_id: Some("e-1".to_owned()),
            timestamp: Some("2026-11-24T10:11:12.345Z".to_owned()),
            snapshot: false,
            replayed: false,
            skipped: 2,
        }
    }

    #[test]
    fn a_line_for_programs_is_the_whole_event() {
        let line = Printer::Json.line(&event("note", r#"{"a": 1}"#));
        assert_eq!(
            line,
            r#"{"type":"note","room":"agent:7","offset":3,"eventId":"e-1","timestamp":"2026-11-24T10:11:12.345Z","skipped":2,"data":{"a": 1}}"#
        );
    }

    #[test]
    fn what_was_missed_is_marked_in_either_form() {
        let missed = Event { replayed: true, skipped: 0, ..event("note", "{}") };
        assert!(Printer::Json.line(&missed).contains(r#""replayed":true"#));
        assert!(Printer::human(Paint::always(), &[]).line(&missed).contains("replayed "));
    }

    #[test]
    fn a_line_for_people_is_aligned_and_coloured() {
        let rooms = ["agent:7".to_owned(), "dashboard:overview".to_owned()];
        let mut printer = Printer::human(Paint::always(), &rooms);
        let line = printer.line(&event("note", r#"{"a":1}"#));
        assert!(line.contains("10:11:12.345") && line.contains("\x1b[1magent:7           \x1b[0m"), "{line:?}");
        assert!(line.contains("2 conflated") && line.ends_with(r#"{"a":1}"#), "{line:?}");
    }
}
