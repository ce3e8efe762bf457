//! The old system: the feed of `METRICS_WS_PORT`, metrics as plain frames out of all that a connection is sent; and its messages' new names.
//!
//! A legacy connection is a connection like any other, in [`crate::session::Mode::Legacy`]: the server joins
//! `dashboard:overview` for it, and what is queued from there goes through [`plain_metrics`] on its way to the socket.

use crate::hub::{event::StoredEvent, outbox::Item};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What the feed consists of.
const METRIC_UPDATE: &str = "metric_update";

/// A frame of the old system: no room, no offset, nothing to join or to recover by. Read from a whole frame, and written.
#[derive(Deserialize, Serialize)]
struct Plain<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
    timestamp: &'a str,
}

/// Leaves out events that are no metrics, and of those that are what only members of rooms need. Answers stay as they are.
pub(crate) fn plain_metrics(items: Vec<Item>) -> Vec<Item> {
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Item::Event(event) => kept.extend(plain(&event.event)),
            Item::Run(run) => kept.extend(run.events.iter().filter_map(|event| plain(event))),
            item => kept.push(item),
        }
    }
    kept
}

fn plain(event: &StoredEvent) -> Option<Item> {
    if &*event.kind != METRIC_UPDATE {
        return None;
    }
    // What was encoded by this server decodes.
    let frame: Plain<'_> = serde_json::from_str(&event.text).ok()?;
    Some(Item::Text(serde_json::to_string(&frame).ok()?.into()))
}

/// What a message of the old system is called now (docs/MIGRATION.md), for who still sends it.
pub(crate) fn now_called(kind: &str) -> &'static str {
    match kind {
        "subscribe" => ": send {\"type\":\"join\",\"payload\":{\"room\":…}} instead",
        "unsubscribe" => ": send {\"type\":\"leave\",\"payload\":{\"room\":…}} instead",
        "ping" => ": WebSocket pings are answered by themselves; {\"type\":\"heartbeat\"} asks for an answer",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{
        event::NewEvent,
        outbox::{QueuedEvent, Run},
        reliable,
    };
    use osbackend_protocol::{JsonObject, RoomName, Timestamp};
    use std::sync::Arc;

    fn event(kind: &str, offset: u64) -> Arc<StoredEvent> {
        let new = NewEvent {
            kind: kind.into(),
            data: JsonObject::parse(r#"{"metric":"cpu","values":{"load":0.5}}"#).unwrap(),
            classified: reliable(),
            event_id: "e".into(),
            ephemeral: false,
            idempotency_key: None,
        };
        Arc::new(StoredEvent::new(&new, &RoomName::parse("dashboard:overview").unwrap(), 1, Some(offset), Timestamp(0)))
    }

    #[test]
    fn only_metrics_and_answers_get_through() {
        let mut items = vec![
            Item::Event(QueuedEvent::replayed(event(METRIC_UPDATE, 1), true)),
            Item::Event(QueuedEvent::live(event("agent_status_change", 2))),
            Item::Text("{}".into()),
            Item::Ping,
        ];
        items.extend(Run::items(vec![event("note", 3), event(METRIC_UPDATE, 4)]));
        let texts: Vec<_> = plain_metrics(items)
            .into_iter()
            .map(|item| match item {
                Item::Text(text) => text.to_string(),
                Item::Ping => "ping".to_owned(),
                other => panic!("{other:?}"),
            })
            .collect();
        let metric =
            r#"{"type":"metric_update","data":{"metric":"cpu","values":{"load":0.5}},"timestamp":"1970-01-01T00:00:00.000Z"}"#;
        assert_eq!(texts, [metric, "{}", "ping", metric]);
    }
}
