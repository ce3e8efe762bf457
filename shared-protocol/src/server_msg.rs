//! Messages from server to client (§2, §4).

mod frame;

pub use frame::{EventFrame, ServerFrame, SystemFrame};

pub use crate::metrics::{MetricPoint, Metrics};
use crate::{
    codes::ErrorCode, json::JsonObject, limits::Limits, permission::EvaluatedPolicy, room::RoomName, timestamp::Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize, ser::SerializeMap};
use serde_json::{Map, Value};

/// The types of the system's messages (§4): reserved, no event may have one of these names.
pub const SYSTEM_TYPES: [&str; 15] = [
    "connection_established",
    "reconnected",
    "authenticated",
    "room_joined",
    "room_left",
    "presence_join",
    "presence_leave",
    "presence",
    "history",
    "metrics",
    "published",
    "heartbeat",
    "token_expiring",
    "draining",
    "error",
];

/// What a session is resumed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ResumeGrant {
    /// Goes into `connect.resume.token`.
    pub token: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// `connection_established` and `reconnected`: the server's answer to a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Greeting {
    /// This client; kept over reconnects that resume.
    pub client_id: String,
    /// Whether a valid token came with the connection.
    pub authenticated: bool,
    /// The token's `sub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub user_id: Option<String>,
    /// The token's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub role: Option<String>,
    /// When the token expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub expires_at: Option<Timestamp>,
    /// 1.
    pub protocol: u32,
    /// The fingerprint of the server's contract.
    pub schema: String,
    /// The server says something at least this often, in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// What this connection may do.
    pub limits: Limits,
    /// With what to resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub resume: Option<ResumeGrant>,
    /// The rooms asked for in `connect`, and `user:{id}`.
    pub rooms: Vec<RoomResult>,
    /// What this user may do, for `can()`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub policy: Option<EvaluatedPolicy>,
    /// Only in `reconnected`: how long the client was away, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub downtime_ms: Option<u64>,
    /// Only where the connection has no user and must get one: within this time, in milliseconds; 0 is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub auth_timeout_ms: Option<u64>,
}

/// `authenticated`: the answer to `auth`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Authenticated {
    /// The token's `sub`.
    pub user_id: String,
    /// The token's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub role: Option<String>,
    /// When the token expires.
    pub expires_at: Timestamp,
    /// Rooms that were joined for the user by this: `user:{id}`, at the first `auth`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<Vec<RoomResult>>", optional))]
    pub rooms: Vec<RoomResult>,
    /// What this user may do with this token; it replaces what the greeting told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub policy: Option<EvaluatedPolicy>,
    /// How to resume from now on: the token of the greeting was for who the client was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub resume: Option<ResumeGrant>,
}

/// `room_joined`: where a member stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct RoomJoined {
    /// The room.
    pub room: RoomName,
    /// Changes when continuity is lost.
    pub epoch: String,
    /// The offset of the room's newest event, 0 before the first.
    pub offset: u64,
    /// Whether everything after the client's position follows.
    pub recovered: bool,
    /// How many events follow as replay.
    pub replayed: u64,
    /// How many events of the snapshot follow: a client that gets fewer has no position to recover from yet.
    #[serde(default, skip_serializing_if = "frame::is_zero")]
    #[cfg_attr(feature = "ts", ts(as = "Option<u64>", optional))]
    pub snapshot: u64,
    /// Connections in the room, this one included.
    pub client_count: u64,
}

/// A room of `connect` that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct RoomRefused {
    /// The room, as it was asked for.
    pub room: String,
    /// Why.
    pub error: RoomError,
}

/// Why a room was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct RoomError {
    /// The code.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// When to join again, in milliseconds, where time helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub retry_after_ms: Option<u64>,
}

/// The error of a room, out of one of a request.
impl From<ErrorBody> for RoomError {
    fn from(ErrorBody { code, message, retry_after_ms, .. }: ErrorBody) -> Self {
        Self { code, message, retry_after_ms }
    }
}

/// What became of a room in `connect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub enum RoomResult {
    /// Joined.
    Joined(RoomJoined),
    /// Refused; the connection goes on.
    Refused(RoomRefused),
}

/// Why a room was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub enum LeaveReason {
    /// The client asked.
    Requested,
    /// The token doesn't allow it any more.
    PermissionLost,
    /// The server closed the room.
    RoomClosed,
}

/// `room_left`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct RoomLeft {
    /// The room.
    pub room: RoomName,
    /// Why.
    pub reason: LeaveReason,
}

/// A user in a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct PresenceUser {
    /// The user.
    pub user_id: String,
    /// Connections of this user in the room; 0 while the last one is gone and may yet come back.
    pub clients: u32,
    /// Since when the user is in the room without a break.
    pub joined_at: Timestamp,
    /// For display: `name` and `avatarUrl`, as the user's token has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional, type = "Record<string, unknown>"))]
    pub info: Option<Map<String, Value>>,
}

/// `presence`: who is in a room. It takes the place of whatever was known of it before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Presence {
    /// The room.
    pub room: RoomName,
    /// Its users, by id; none where there are `counts`.
    pub users: Vec<PresenceUser>,
    /// Connections without a user.
    pub anonymous: u64,
    /// In a room with more users than are listed (`PRESENCE_LIMIT`): how many there are. No join or leave is told there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub counts: Option<PresenceCounts>,
}

/// How many are in a room whose users are not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct PresenceCounts {
    /// Users.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub users: u64,
    /// Their connections.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub clients: u64,
}

/// `presence_join` and `presence_leave`: a user's first connection came, or the last one is gone for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct PresenceChange {
    /// The room.
    pub room: RoomName,
    /// The user.
    pub user_id: String,
    /// For display: `name` and `avatarUrl`, as the user's token has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional, type = "Record<string, unknown>"))]
    pub info: Option<Map<String, Value>>,
}

/// `history`: events that a room still holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct History {
    /// The room.
    pub room: RoomName,
    /// Its epoch.
    pub epoch: String,
    /// The offset of its newest event.
    pub offset: u64,
    /// The events.
    pub events: Vec<EventFrame>,
    /// Whether the room holds more of them behind the last one: the page ended at its limit, or at 256 KiB. The next page
    /// begins with `since` = the last event's offset.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub more: bool,
}

/// `published`: an event was taken; it has this place in its room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Published {
    /// The room.
    pub room: RoomName,
    /// Its place; left out of an ephemeral one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub offset: Option<u64>,
    /// The epoch in which the offset counts.
    pub epoch: String,
    /// Its id.
    pub event_id: String,
}

/// `heartbeat`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Heartbeat {
    /// The server's clock.
    pub server_time: Timestamp,
    /// How to resume from now on, where the token that the client has grows old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub resume: Option<ResumeGrant>,
}

/// `token_expiring`: refresh it by `auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct TokenExpiring {
    /// When the token expires.
    pub expires_at: Timestamp,
}

/// `draining`: the server is going away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Draining {
    /// This client's slot: how long it waits before it reconnects, in milliseconds.
    pub reconnect_after_ms: u64,
}

/// `error`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ErrorBody {
    /// The code.
    pub code: ErrorCode,
    /// For people: what was wrong, and what to do.
    pub message: String,
    /// When to try again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub retry_after_ms: Option<u64>,
    /// The room that it concerns, as it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub room: Option<String>,
}

impl ErrorBody {
    /// An error without room and retry time.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None, room: None }
    }
}

/// Every message of the system (§4), and answers of custom handlers.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerMessage {
    /// `connection_established`
    ConnectionEstablished(Greeting),
    /// `reconnected`
    Reconnected(Greeting),
    /// `authenticated`
    Authenticated(Authenticated),
    /// `room_joined`
    RoomJoined(RoomJoined),
    /// `room_left`
    RoomLeft(RoomLeft),
    /// `presence_join`
    PresenceJoin(PresenceChange),
    /// `presence_leave`
    PresenceLeave(PresenceChange),
    /// `presence`
    Presence(Presence),
    /// `history`
    History(History),
    /// `metrics`
    Metrics(Metrics),
    /// `published`
    Published(Published),
    /// `heartbeat`
    Heartbeat(Heartbeat),
    /// `token_expiring`
    TokenExpiring(TokenExpiring),
    /// `draining`
    Draining(Draining),
    /// `error`
    Error(ErrorBody),
    /// A type that is not the system's: the answer of a custom handler.
    Other {
        /// Its type.
        kind: String,
        /// Its data.
        data: JsonObject,
    },
}

impl ServerMessage {
    /// The type on the wire.
    pub fn kind(&self) -> &str {
        match self {
            Self::ConnectionEstablished(_) => "connection_established",
            Self::Reconnected(_) => "reconnected",
            Self::Authenticated(_) => "authenticated",
            Self::RoomJoined(_) => "room_joined",
            Self::RoomLeft(_) => "room_left",
            Self::PresenceJoin(_) => "presence_join",
            Self::PresenceLeave(_) => "presence_leave",
            Self::Presence(_) => "presence",
            Self::History(_) => "history",
            Self::Metrics(_) => "metrics",
            Self::Published(_) => "published",
            Self::Heartbeat(_) => "heartbeat",
            Self::TokenExpiring(_) => "token_expiring",
            Self::Draining(_) => "draining",
            Self::Error(_) => "error",
            Self::Other { kind, .. } => kind,
        }
    }

    /// The message of a system type from its `data`, whatever format that is in; `None` for a type that is not the system's.
    pub fn from_data<'de, D: Deserializer<'de>>(kind: &str, data: D) -> Result<Option<Self>, D::Error> {
        Ok(Some(match kind {
            "connection_established" => Self::ConnectionEstablished(Deserialize::deserialize(data)?),
            "reconnected" => Self::Reconnected(Deserialize::deserialize(data)?),
            "authenticated" => Self::Authenticated(Deserialize::deserialize(data)?),
            "room_joined" => Self::RoomJoined(Deserialize::deserialize(data)?),
            "room_left" => Self::RoomLeft(Deserialize::deserialize(data)?),
            "presence_join" => Self::PresenceJoin(Deserialize::deserialize(data)?),
            "presence_leave" => Self::PresenceLeave(Deserialize::deserialize(data)?),
            "presence" => Self::Presence(Deserialize::deserialize(data)?),
            "history" => Self::History(Deserialize::deserialize(data)?),
            "metrics" => Self::Metrics(Deserialize::deserialize(data)?),
            "published" => Self::Published(Deserialize::deserialize(data)?),
            "heartbeat" => Self::Heartbeat(Deserialize::deserialize(data)?),
            "token_expiring" => Self::TokenExpiring(Deserialize::deserialize(data)?),
            "draining" => Self::Draining(Deserialize::deserialize(data)?),
            "error" => Self::Error(Deserialize::deserialize(data)?),
            _ => return Ok(None),
        }))
    }

    fn serialize_data<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::ConnectionEstablished(data) | Self::Reconnected(data) => map.serialize_entry("data", data),
            Self::Authenticated(data) => map.serialize_entry("data", data),
            Self::RoomJoined(data) => map.serialize_entry("data", data),
            Self::RoomLeft(data) => map.serialize_entry("data", data),
            Self::PresenceJoin(data) | Self::PresenceLeave(data) => map.serialize_entry("data", data),
            Self::Presence(data) => map.serialize_entry("data", data),
            Self::History(data) => map.serialize_entry("data", data),
            Self::Metrics(data) => map.serialize_entry("data", data),
            Self::Published(data) => map.serialize_entry("data", data),
            Self::Heartbeat(data) => map.serialize_entry("data", data),
            Self::TokenExpiring(data) => map.serialize_entry("data", data),
            Self::Draining(data) => map.serialize_entry("data", data),
            Self::Error(data) => map.serialize_entry("data", data),
            Self::Other { data, .. } => map.serialize_entry("data", data),
        }
    }

    /// The room that the envelope names (§2), where the message is about one.
    fn room(&self) -> Option<&str> {
        match self {
            Self::RoomJoined(data) => Some(data.room.as_str()),
            Self::RoomLeft(data) => Some(data.room.as_str()),
            Self::PresenceJoin(data) | Self::PresenceLeave(data) => Some(data.room.as_str()),
            Self::Presence(data) => Some(data.room.as_str()),
            Self::History(data) => Some(data.room.as_str()),
            Self::Published(data) => Some(data.room.as_str()),
            Self::Error(data) => data.room.as_deref(),
            _ => None,
        }
    }
}
