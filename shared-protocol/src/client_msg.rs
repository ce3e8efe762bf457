//! Messages from client to server (§2, §3).

pub use crate::metrics::MetricsGet;
use crate::{
    codes::ErrorCode,
    json::{self, JsonObject},
    room::RoomName,
    server_msg::{RoomError, RoomRefused},
};
use serde::{Deserialize, Serialize};

/// The `id` of a request, given back as it came: a string or a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub enum RequestId {
    /// A number; from a client, below 2^53.
    Number(#[cfg_attr(feature = "ts", ts(type = "number"))] serde_json::Number),
    /// A string, at most 128 bytes.
    Text(String),
}

impl From<u64> for RequestId {
    fn from(id: u64) -> Self {
        Self::Number(id.into())
    }
}

/// A room and how far the client has read it; without `epoch` and `offset` it is a first join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct RoomPosition {
    /// The room.
    pub room: RoomName,
    /// The epoch in which `offset` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub epoch: Option<String>,
    /// The last offset that was received.
    #[serde(default, deserialize_with = "json::integer", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub offset: Option<u64>,
}

/// A session to take up again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Resume {
    /// The client id of the greeting.
    pub client_id: String,
    /// The resume token of the greeting.
    pub token: String,
}

/// `connect`: the first message of a client that offered `osbackend.v1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "ConnectOnTheWire")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Connect {
    /// 1.
    pub protocol: u32,
    /// The user's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub token: Option<String>,
    /// The session that this connection goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub resume: Option<Resume>,
    /// Rooms to join at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<Vec<RoomPosition>>", optional))]
    pub rooms: Vec<RoomPosition>,
    /// Rooms asked for under a name that is none: each goes into the greeting's `rooms` as it is here (§4: a refused
    /// room does not fail the connection). Filled by decoding only.
    #[serde(skip)]
    #[cfg_attr(feature = "ts", ts(skip))]
    pub refused: Vec<RoomRefused>,
    /// Whether several messages may come as one array (§7).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub batch: bool,
    /// Name and version of the client, for the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub client: Option<String>,
    /// The fingerprint of the contract that the client was built with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub schema: Option<String>,
}

/// This protocol version, and nothing that is optional.
impl Default for Connect {
    fn default() -> Self {
        Self {
            protocol: crate::PROTOCOL_VERSION,
            token: None,
            resume: None,
            rooms: Vec::new(),
            refused: Vec::new(),
            batch: false,
            client: None,
            schema: None,
        }
    }
}

/// [`Connect`] before its room names are looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConnectOnTheWire {
    protocol: u32,
    token: Option<String>,
    resume: Option<json::Object<Resume>>,
    #[serde(default)]
    rooms: Vec<json::Object<AnyPosition>>,
    #[serde(default)]
    batch: bool,
    client: Option<String>,
    schema: Option<String>,
}

/// [`RoomPosition`] with any text for a room.
#[derive(Deserialize)]
struct AnyPosition {
    room: String,
    epoch: Option<String>,
    #[serde(default, deserialize_with = "json::integer")]
    offset: Option<u64>,
}

impl From<ConnectOnTheWire> for Connect {
    fn from(wire: ConnectOnTheWire) -> Self {
        let (mut rooms, mut refused) = (Vec::with_capacity(wire.rooms.len()), Vec::new());
        for json::Object(AnyPosition { room, epoch, offset }) in wire.rooms {
            match RoomName::parse(&room) {
                Ok(room) => rooms.push(RoomPosition { room, epoch, offset }),
                Err(error) => {
                    let error = RoomError { code: ErrorCode::BadRequest, message: error.to_string(), retry_after_ms: None };
                    refused.push(RoomRefused { room, error });
                }
            }
        }
        Self {
            protocol: wire.protocol,
            token: wire.token,
            resume: wire.resume.map(|resume| resume.0),
            rooms,
            refused,
            batch: wire.batch,
            client: wire.client,
            schema: wire.schema,
        }
    }
}

/// `auth`: authenticates, or refreshes the token in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Auth {
    /// The token.
    pub token: String,
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

/// `join`: becomes a member of a room, from a position or anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Join {
    /// The room.
    pub room: RoomName,
    /// The epoch in which `offset` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub epoch: Option<String>,
    /// The last offset that was received.
    #[serde(default, deserialize_with = "json::integer", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub offset: Option<u64>,
    /// Whether the newest event of each key is wanted when the join doesn't recover; true when left out.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub snapshot: bool,
}

/// A message that names a room only: `leave`, `presence:get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct OfRoom {
    /// The room.
    pub room: RoomName,
}

/// `publish`: an event for a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Publish {
    /// The room.
    pub room: RoomName,
    /// The event's name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event's data.
    #[cfg_attr(feature = "ts", ts(type = "Record<string, unknown>"))]
    pub data: JsonObject,
    /// Publishing again with the same key within five minutes stores nothing new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub idempotency_key: Option<String>,
    /// The key of the event that this one must not pass (§5): the client's event before it into this room, while that one is
    /// unanswered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub after: Option<String>,
    /// For who is there now only: no offset, no history (§5).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub ephemeral: bool,
}

/// `history:get`: events that a room still holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct HistoryGet {
    /// The room.
    pub room: RoomName,
    /// Only events after this offset (before it when `reverse`).
    #[serde(default, deserialize_with = "json::integer", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub since: Option<u64>,
    /// The most events; 1 to 1000, 100 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub limit: Option<u32>,
    /// Newest first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub reverse: bool,
}

/// A message of a type that is not the system's, for the server's own handlers.
#[derive(Clone, Debug, PartialEq)]
pub struct Custom {
    /// Its type.
    pub kind: String,
    /// Its payload.
    pub payload: JsonObject,
}

/// Every message of §3.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// `connect`
    Connect(Connect),
    /// `auth`
    Auth(Auth),
    /// `join`
    Join(Join),
    /// `leave`
    Leave(OfRoom),
    /// `publish`
    Publish(Publish),
    /// `metrics:get`
    MetricsGet(MetricsGet),
    /// `presence:get`
    PresenceGet(OfRoom),
    /// `history:get`
    HistoryGet(HistoryGet),
    /// `heartbeat`
    Heartbeat,
    /// Any other type.
    Custom(Custom),
}

impl ClientMessage {
    /// The type on the wire.
    pub fn kind(&self) -> &str {
        match self {
            Self::Connect(_) => "connect",
            Self::Auth(_) => "auth",
            Self::Join(_) => "join",
            Self::Leave(_) => "leave",
            Self::Publish(_) => "publish",
            Self::MetricsGet(_) => "metrics:get",
            Self::PresenceGet(_) => "presence:get",
            Self::HistoryGet(_) => "history:get",
            Self::Heartbeat => "heartbeat",
            Self::Custom(custom) => &custom.kind,
        }
    }
}

/// A message with its envelope (§2).
#[derive(Clone, Debug, PartialEq)]
pub struct ClientFrame {
    /// Given back in the answer.
    pub id: Option<RequestId>,
    /// The message.
    pub message: ClientMessage,
}
