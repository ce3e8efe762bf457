//! The part of the server's system messages (§4) on which the machine acts.
//!
//! Narrower and more tolerant than `osbackend_protocol::server_msg` on purpose: a client that is already in a browser
//! meets newer servers, so codes are text here and fields that steer nothing are not looked at. A test holds these
//! against the protocol's own types.

use osbackend_protocol::{EvaluatedPolicy, Limits};
use serde::{Deserialize, Deserializer};

/// A system message that changes the connection's state.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// `connection_established`, or `reconnected` when `downtime_ms` is there.
    Greeting(Box<Greeting>),
    /// `authenticated`
    Authenticated(Authenticated),
    /// `room_joined`
    RoomJoined {
        /// The `join` that it answers.
        id: Option<u64>,
        /// Where the member stands.
        result: RoomOutcome,
    },
    /// `room_left`
    RoomLeft {
        /// The `leave` that it answers; none when the server acted by itself.
        id: Option<u64>,
        /// Which room, and why.
        left: RoomLeft,
    },
    /// `error`
    Error {
        /// The request that failed.
        id: Option<u64>,
        /// What was wrong.
        error: ErrorBody,
    },
    /// `heartbeat` with a newer resume token
    Resume(ResumeGrant),
    /// `token_expiring`
    TokenExpiring,
    /// `draining`
    Draining(Draining),
}

/// The greeting (§4).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Greeting {
    /// This client.
    pub client_id: String,
    /// Whether a valid token came with the connection.
    pub authenticated: bool,
    /// The token's `sub`.
    #[serde(default)]
    pub user_id: Option<String>,
    /// The token's role.
    #[serde(default)]
    pub role: Option<String>,
    /// Version of the protocol that the server speaks.
    pub protocol: u32,
    /// The server says something at least this often, in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// What this connection may do.
    #[serde(default)]
    pub limits: Limits,
    /// With what to resume.
    #[serde(default)]
    pub resume: Option<ResumeGrant>,
    /// The rooms of `connect`, and those that the server joined by itself.
    #[serde(default)]
    pub rooms: Vec<RoomOutcome>,
    /// What the user may do.
    #[serde(default)]
    pub policy: Option<EvaluatedPolicy>,
    /// How long the client was away, in milliseconds; only when the session was resumed.
    #[serde(default)]
    pub downtime_ms: Option<u64>,
    /// The connection has no user, and must get one within this time, in milliseconds.
    #[serde(default)]
    pub auth_timeout_ms: Option<u64>,
}

/// What a session is resumed with.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ResumeGrant {
    /// Goes into `connect.resume.token`.
    pub token: String,
}

/// `authenticated` (§4).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authenticated {
    /// The token's `sub`.
    pub user_id: String,
    /// The token's role.
    #[serde(default)]
    pub role: Option<String>,
    /// Rooms that the server joined for the user by this.
    #[serde(default)]
    pub rooms: Vec<RoomOutcome>,
    /// What the user may do now.
    #[serde(default)]
    pub policy: Option<EvaluatedPolicy>,
    /// With what to resume from now on.
    #[serde(default)]
    pub resume: Option<ResumeGrant>,
}

#[derive(Deserialize)]
struct Heartbeat {
    #[serde(default)]
    resume: Option<ResumeGrant>,
}

/// `RoomResult` (§4): joined when there is an epoch, refused when there is an error.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomOutcome {
    /// The room, well-formed to this version or not.
    pub room: String,
    /// Changes when continuity is lost.
    #[serde(default)]
    pub epoch: String,
    /// The offset of the room's newest event.
    #[serde(default)]
    pub offset: u64,
    /// Whether everything after the client's position follows.
    #[serde(default)]
    pub recovered: bool,
    /// How many events follow as replay.
    #[serde(default)]
    pub replayed: u64,
    /// How many events of the snapshot follow, where the server says so.
    #[serde(default)]
    pub snapshot: u64,
    /// Connections in the room, this one included.
    #[serde(default)]
    pub client_count: u64,
    /// Why it was refused.
    #[serde(default)]
    pub error: Option<ErrorBody>,
}

/// `room_left` (§4).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RoomLeft {
    /// The room.
    pub room: String,
    /// `requested`, `permission_lost` or `room_closed`.
    pub reason: String,
}

/// `error` (§4), and the error of a refused room.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// The code, known to this version or not.
    pub code: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// When to try again, in milliseconds.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}

/// `draining` (§4).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draining {
    /// This client's slot, in milliseconds from now.
    pub reconnect_after_ms: u64,
}

impl Control {
    /// The control message of this `kind`, or `None` where the machine has nothing to do with that kind.
    ///
    /// # Errors
    /// The deserializer's, when `data` is not what §4 says for this kind: the peer doesn't speak this protocol.
    pub fn decode<'de, D: Deserializer<'de>>(kind: &str, id: Option<u64>, data: D) -> Result<Option<Self>, D::Error> {
        Ok(Some(match kind {
            "connection_established" | "reconnected" => {
                let mut greeting = Greeting::deserialize(data)?;
                greeting.downtime_ms = (kind == "reconnected").then_some(greeting.downtime_ms.unwrap_or(0));
                Self::Greeting(Box::new(greeting))
            }
            "authenticated" => Self::Authenticated(Authenticated::deserialize(data)?),
            "room_joined" => Self::RoomJoined { id, result: RoomOutcome::deserialize(data)? },
            "room_left" => Self::RoomLeft { id, left: RoomLeft::deserialize(data)? },
            "error" => Self::Error { id, error: ErrorBody::deserialize(data)? },
            "heartbeat" => return Ok(Heartbeat::deserialize(data)?.resume.map(Self::Resume)),
            "token_expiring" => Self::TokenExpiring,
            "draining" => Self::Draining(Draining::deserialize(data)?),
            _ => return Ok(None),
        }))
    }
}
