//! The states of a connection: the public view, and the machine's own with the data of each.

use osbackend_protocol::{EvaluatedPolicy, Limits, RoomName};
use serde::Serialize;

/// The connection, as the application sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ConnectionState {
    /// Not asked to connect yet.
    Idle,
    /// An attempt is being made.
    Connecting {
        /// From 1, since a session last lived long enough.
        attempt: u32,
    },
    /// Live.
    Connected {
        /// This client; kept over reconnects that resume.
        client_id: String,
        /// Whether there is a user.
        authenticated: bool,
        /// The user.
        #[serde(skip_serializing_if = "Option::is_none")]
        user_id: Option<String>,
        /// The user's role.
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<String>,
        /// Whether the server took up the session from before.
        resumed: bool,
        /// How long the client was away, in milliseconds, when resumed.
        #[serde(skip_serializing_if = "Option::is_none")]
        downtime_ms: Option<u64>,
    },
    /// Waiting for the next attempt.
    Reconnecting {
        /// The number that the next attempt will have.
        attempt: u32,
        /// When it begins, in the machine's milliseconds; `None` while the client waits for a newer token.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_at_ms: Option<u64>,
        /// The close code of the connection that was lost.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        /// Why.
        reason: String,
        /// The server's own words for it, or what to do.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Over, until `connect` is called again; or at rest, where the reason begins with "gave up".
    Closed {
        /// The close code, where a server sent one.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        /// Why.
        reason: String,
        /// The server's own words for it, or what to do.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// When the next series of attempts begins by itself, in the machine's milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_at_ms: Option<u64>,
    },
}

/// Where the machine is. Each phase holds what only that phase knows.
#[derive(Debug)]
pub(crate) enum Phase {
    Idle,
    /// The token provider was asked.
    Token {
        attempt: u32,
    },
    /// The socket is being opened.
    Opening {
        attempt: u32,
        token: Option<String>,
    },
    /// `connect` was written with `token`. `asked` are its rooms; `newer_token` came too late for it.
    Greeting {
        attempt: u32,
        token: Option<String>,
        asked: Vec<RoomName>,
        newer_token: Option<String>,
    },
    Live(Box<Live>),
    Backoff(Wait),
    Closed(End),
}

/// Why the connection is over, and whether it stays so.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: Option<u16>,
    pub(crate) reason: String,
    pub(crate) message: Option<String>,
    /// The attempts of a series were used up: any sign that the server may be back begins another one.
    pub(crate) gave_up: bool,
    /// When another series begins by itself.
    pub(crate) retry_at: Option<u64>,
}

/// Waiting before an attempt.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) attempt: u32,
    /// `None`: no attempt before the application has a newer token.
    pub(crate) retry_at: Option<u64>,
    pub(crate) code: Option<u16>,
    pub(crate) reason: String,
    pub(crate) message: Option<String>,
    /// The server gave this time (`draining`): nothing may shorten it.
    pub(crate) slot: bool,
}

/// Who is connected, as the server says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) role: Option<String>,
}

/// A greeted connection.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) since: u64,
    pub(crate) client_id: String,
    pub(crate) user: Option<User>,
    pub(crate) resumed: bool,
    pub(crate) downtime_ms: Option<u64>,
    pub(crate) limits: Limits,
    /// What the user may do; nothing where the server doesn't say.
    pub(crate) policy: EvaluatedPolicy,
    pub(crate) heartbeat_ms: u64,
    pub(crate) heard_at: u64,
    /// A heartbeat was sent at this time to see whether the server still answers.
    pub(crate) probed_at: Option<u64>,
    /// The unanswered `auth`.
    pub(crate) auth_id: Option<u64>,
    /// When a newer token was taken last.
    pub(crate) refreshed_at: Option<u64>,
    /// When the draining server wants this client to reconnect.
    pub(crate) slot_at: Option<u64>,
    /// Nothing can be written any more: messages of the application wait for the next session.
    pub(crate) closing: bool,
}

impl Phase {
    /// How the application sees this phase.
    pub(crate) fn public(&self) -> ConnectionState {
        match self {
            Self::Idle => ConnectionState::Idle,
            Self::Token { attempt } | Self::Opening { attempt, .. } | Self::Greeting { attempt, .. } => {
                ConnectionState::Connecting { attempt: *attempt }
            }
            Self::Live(live) => ConnectionState::Connected {
                client_id: live.client_id.clone(),
                authenticated: live.user.is_some(),
                user_id: live.user.as_ref().map(|user| user.id.clone()),
                role: live.user.as_ref().and_then(|user| user.role.clone()),
                resumed: live.resumed,
                downtime_ms: live.downtime_ms,
            },
            Self::Backoff(wait) => ConnectionState::Reconnecting {
                attempt: wait.attempt,
                retry_at_ms: wait.retry_at,
                code: wait.code,
                reason: wait.reason.clone(),
                message: wait.message.clone(),
            },
            Self::Closed(end) => ConnectionState::Closed {
                code: end.code,
                reason: end.reason.clone(),
                message: end.message.clone(),
                retry_at_ms: end.retry_at,
            },
        }
    }

    /// Whether there is a socket, open or opening.
    pub(crate) fn has_socket(&self) -> bool {
        matches!(self, Self::Opening { .. } | Self::Greeting { .. } | Self::Live(_))
    }
}
