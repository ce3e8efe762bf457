//! What a session asks its surroundings to do.

use super::ask::Question;
use crate::{auth::AuthError, engine::Place, hub::JoinRequest, metrics::MetricQuery};
use osbackend_protocol::{
    Classified, CloseCode, ErrorCode, JsonObject, RequestId, RoomName, SystemFrame,
    client_msg::{Custom, HistoryGet},
    server_msg::{LeaveReason, RoomRefused},
};

/// One thing to do.
#[derive(Debug)]
pub enum Effect {
    /// Send a message.
    Send(SystemFrame),
    /// Join rooms, and then greet or answer with what became of them.
    Welcome(Welcome),
    /// Join a room and answer.
    Join {
        /// What to join.
        request: JoinRequest,
        /// The request's id.
        id: Option<RequestId>,
    },
    /// Leave a room and say so.
    Leave {
        /// The room.
        room: RoomName,
        /// Why.
        reason: LeaveReason,
        /// The request's id.
        id: Option<RequestId>,
    },
    /// Publish an event and answer.
    Publish {
        /// The room.
        room: RoomName,
        /// The event's name.
        kind: String,
        /// Its data.
        data: JsonObject,
        /// How it is delivered.
        classified: Classified,
        /// See [`osbackend_protocol::client_msg::Publish`].
        idempotency_key: Option<String>,
        /// See [`osbackend_protocol::client_msg::Publish`].
        ephemeral: bool,
        /// Where it stands among the connection's events.
        place: Option<Place>,
        /// The request's id.
        id: Option<RequestId>,
    },
    /// Answer with points of metrics.
    Metrics {
        /// Which.
        query: MetricQuery,
        /// The request's id.
        id: Option<RequestId>,
    },
    /// Answer with who is in a room.
    Presence {
        /// The room.
        room: RoomName,
        /// The request's id.
        id: Option<RequestId>,
    },
    /// Answer with held events of a room.
    History {
        /// What of it.
        get: HistoryGet,
        /// Events at most.
        limit: usize,
        /// The request's id.
        id: Option<RequestId>,
    },
    /// Hand it to the server's custom handlers.
    Custom {
        /// The message.
        custom: Custom,
        /// The request's id.
        id: Option<RequestId>,
    },
    /// Check a token and call [`super::Session::on_verified`].
    Verify(VerifyFor),
    /// Look for an older connection whose place this one takes over, and call [`super::Session::on_claimed`].
    Claim,
    /// Ask the backend and call [`super::Session::on_answer`] with the ticket.
    Ask {
        /// Tells the answer's question.
        ticket: u64,
        /// What is asked.
        question: Question,
    },
    /// Send a WebSocket ping.
    Ping,
    /// End the connection once everything before is sent.
    Close(CloseCode),
}

impl Effect {
    /// Whether its answer may be large: it waits until earlier answers were read.
    pub(super) fn asks_much(&self) -> bool {
        matches!(self, Self::History { .. } | Self::Metrics { .. } | Self::Presence { .. } | Self::Custom { .. })
    }
}

/// A token to check.
pub struct VerifyFor {
    /// The token.
    pub token: String,
}

/// Tokens are never shown.
impl std::fmt::Debug for VerifyFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VerifyFor([token])")
    }
}

/// A room of `connect`: joined, or refused before it is looked at.
pub type RoomRequest = Result<JoinRequest, RoomRefused>;

/// An answer that lists rooms.
#[derive(Debug)]
pub enum Welcome {
    /// `connection_established` or `reconnected`.
    Greeting {
        /// The rooms of `connect`, and the user's own.
        rooms: Vec<RoomRequest>,
        /// The request's id.
        id: Option<RequestId>,
    },
    /// `authenticated`.
    Authenticated {
        /// The user's own room, at the first `auth`.
        rooms: Vec<RoomRequest>,
        /// The request's id.
        id: Option<RequestId>,
    },
}

/// Why someone is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token.
    #[error("{0}")]
    Token(#[from] AuthError),
    /// `MAX_CONNECTIONS_PER_IP` connections of this address.
    #[error("this address has too many connections (MAX_CONNECTIONS_PER_IP): try again later, or close one of its others")]
    AddressLimit,
    /// `MAX_CONNECTIONS_PER_USER` connections of this user.
    #[error("this user has too many connections (MAX_CONNECTIONS_PER_USER): try again later, or close another one")]
    UserLimit,
}

impl Refusal {
    /// The error's code. At the door an expired token is a bad one like any other (§1); in an `auth` it is named.
    pub(super) fn code(&self, at_the_door: bool) -> ErrorCode {
        match self {
            Self::Token(AuthError::Expired) if at_the_door => ErrorCode::Unauthorized,
            Self::Token(error) => error.code(),
            Self::AddressLimit | Self::UserLimit => ErrorCode::LimitReached,
        }
    }

    /// When to try again, in milliseconds, where time may help.
    pub(super) fn retry_after_ms(&self) -> Option<u64> {
        matches!(self, Self::AddressLimit | Self::UserLimit).then_some(crate::limits::FULL_RETRY_MS)
    }

    /// How the connection ends.
    pub(super) fn close(&self) -> CloseCode {
        match self {
            Self::Token(AuthError::Unavailable) => CloseCode::TryLater,
            Self::Token(_) => CloseCode::Unauthorized,
            Self::AddressLimit | Self::UserLimit => CloseCode::ConnectionLimit,
        }
    }
}
