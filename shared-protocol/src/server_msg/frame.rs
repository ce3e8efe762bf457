//! The envelope around what a server sends (§2): events with their place, messages with their request.

use crate::{
    client_msg::RequestId,
    codec,
    json::{self, JsonObject},
    room::RoomName,
    server_msg::ServerMessage,
    timestamp::Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};
use serde_json::value::RawValue;
use std::borrow::Cow;

fn is_false(value: &bool) -> bool {
    !*value
}

pub(super) fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// An event of a room, with its place in it (§2, §5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct EventFrame {
    /// The event's name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event's data.
    #[cfg_attr(feature = "ts", ts(type = "Record<string, unknown>"))]
    pub data: JsonObject,
    /// The room.
    pub room: RoomName,
    /// Its place; an ephemeral event has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub offset: Option<u64>,
    /// One emission into several rooms has one id.
    pub event_id: String,
    /// When the server took it.
    pub timestamp: Timestamp,
    /// Part of a snapshot: the newest of its key, not new.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub snapshot: bool,
    /// Events of this room that were conflated since the previous one delivered.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "ts", ts(as = "Option<u64>", optional))]
    pub skipped: u64,
}

/// A message of the system with its envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemFrame {
    /// The message.
    pub message: ServerMessage,
    /// The id of the request that this answers.
    pub id: Option<RequestId>,
    /// The server's clock.
    pub timestamp: Timestamp,
}

impl Serialize for SystemFrame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.message.kind())?;
        self.message.serialize_data(&mut map)?;
        if let Some(room) = self.message.room() {
            map.serialize_entry("room", room)?;
        }
        map.serialize_entry("timestamp", &self.timestamp)?;
        if let Some(id) = &self.id {
            map.serialize_entry("id", id)?;
        }
        map.end()
    }
}

/// Anything that a server sends.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::large_enum_variant, reason = "a frame is encoded at once, or looked at and dropped: none is kept")
)]
pub enum ServerFrame {
    /// A message of the system, or the answer of a custom handler.
    System(SystemFrame),
    /// An event of a room.
    Event(EventFrame),
}

impl ServerFrame {
    /// Reads one frame; an error is the path of the field, and what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, (String, String)> {
        let head: Envelope<'_> = codec::typed("frame", text)?;
        if !head.data.get().starts_with('{') {
            return Err(("frame.data".to_owned(), "must be an object".to_owned()));
        }
        let mut track = serde_path_to_error::Track::new();
        let mut data = serde_json::Deserializer::from_str(head.data.get());
        let data = serde_path_to_error::Deserializer::new(&mut data, &mut track);
        let message = match ServerMessage::from_data(&head.kind, data) {
            Ok(message) => message,
            Err(error) => return Err(codec::locate("frame.data", &track.path().to_string(), &error)),
        };
        if let Some(message) = message {
            return Ok(Self::System(SystemFrame { message, id: head.id, timestamp: head.timestamp }));
        }
        let kind = head.kind.into_owned();
        let data = JsonObject::parse(head.data.get()).map_err(|error| ("frame.data".to_owned(), codec::plain_message(&error)))?;
        Ok(match (head.room, head.event_id) {
            (Some(room), Some(event_id)) => Self::Event(EventFrame {
                kind,
                data,
                room: RoomName::parse(&room).map_err(|error| ("frame.room".to_owned(), error.to_string()))?,
                offset: head.offset,
                event_id,
                timestamp: head.timestamp,
                snapshot: head.snapshot,
                skipped: head.skipped,
            }),
            _ => {
                Self::System(SystemFrame { message: ServerMessage::Other { kind, data }, id: head.id, timestamp: head.timestamp })
            }
        })
    }
}

/// Every field that a server's envelope can have. The room is any text: that of an `error` may be malformed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    timestamp: Timestamp,
    room: Option<String>,
    #[serde(default, deserialize_with = "json::integer")]
    offset: Option<u64>,
    event_id: Option<String>,
    id: Option<RequestId>,
    #[serde(default)]
    snapshot: bool,
    #[serde(default)]
    skipped: u64,
}

impl<'de> Deserialize<'de> for ServerFrame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = JsonObject::deserialize(deserializer)?;
        Self::parse(raw.get()).map_err(|(path, message)| D::Error::custom(format_args!("{path}: {message}")))
    }
}
