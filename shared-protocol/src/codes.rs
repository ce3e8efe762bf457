//! Error codes and close codes (§6), with what a client does after each close.

use serde::{Deserialize, Serialize};

/// What went wrong with one request or frame (§6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub enum ErrorCode {
    /// The frame or a field of it is malformed; the message names the field.
    BadRequest,
    /// No valid token where one is needed.
    Unauthorized,
    /// The token was valid once; get a new one.
    TokenExpired,
    /// Authenticated, but not allowed.
    Forbidden,
    /// No handler for this message type.
    UnknownType,
    /// The room must be joined first.
    NotJoined,
    /// Too many frames or joins; `retryAfterMs` says when.
    RateLimited,
    /// The message is over the size limit.
    TooLarge,
    /// A bound is reached, such as rooms a connection.
    LimitReached,
    /// The engine can't serve this now; try again later.
    Unavailable,
    /// A defect of the server; it is in its log.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of §6.
    pub const ALL: [Self; 11] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::TokenExpired,
        Self::Forbidden,
        Self::UnknownType,
        Self::NotJoined,
        Self::RateLimited,
        Self::TooLarge,
        Self::LimitReached,
        Self::Unavailable,
        Self::Internal,
    ];

    /// Whether the same request may well be taken in a moment: it was refused for now, and a client asks again.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable | Self::Internal)
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::TokenExpired => "token_expired",
            Self::Forbidden => "forbidden",
            Self::UnknownType => "unknown_type",
            Self::NotJoined => "not_joined",
            Self::RateLimited => "rate_limited",
            Self::TooLarge => "too_large",
            Self::LimitReached => "limit_reached",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a client does after a close (§6). Codes that it doesn't know are decided by their range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// Reconnect with backoff.
    Yes,
    /// Reconnect, but ask the token provider for a new token first.
    WithNewToken,
    /// Stay closed until the application connects again.
    No,
}

/// How a connection ends: the code and, as its reason, the code's name (§6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1000: the client asked for it.
    Normal,
    /// 1001
    GoingAway,
    /// 1003: a binary frame.
    BinaryFrame,
    /// 1007: bad UTF-8.
    BadUtf8,
    /// 1009: a message over the limit.
    TooBig,
    /// 1011: a defect of the server.
    Internal,
    /// 1012: the server restarts.
    Restart,
    /// 1013: overloaded or a dependency is down.
    TryLater,
    /// 4000: only from a client, which was told to disconnect and doesn't come back.
    Goodbye,
    /// 4001: fetch a new token first.
    TokenExpired,
    /// 4002: the queue was over its bound.
    SlowConsumer,
    /// 4003
    RateLimited,
    /// 4004: no bytes within the pong timeout.
    NoHeartbeat,
    /// 4005: the address or the user has too many connections; the `error` before it says when to try again.
    ConnectionLimit,
    /// 4500: ten malformed frames, or no valid `connect`.
    ProtocolError,
    /// 4500 too: nobody authenticated in time.
    AuthTimeout,
    /// 4501
    Unauthorized,
    /// 4502
    Forbidden,
    /// 4503: the client speaks another protocol version.
    UpgradeRequired,
    /// 4505: an admin closed it.
    Disconnected,
}

impl CloseCode {
    /// Every way to close.
    pub const ALL: [Self; 20] = [
        Self::Normal,
        Self::GoingAway,
        Self::BinaryFrame,
        Self::BadUtf8,
        Self::TooBig,
        Self::Internal,
        Self::Restart,
        Self::TryLater,
        Self::Goodbye,
        Self::TokenExpired,
        Self::SlowConsumer,
        Self::RateLimited,
        Self::NoHeartbeat,
        Self::ConnectionLimit,
        Self::ProtocolError,
        Self::AuthTimeout,
        Self::Unauthorized,
        Self::Forbidden,
        Self::UpgradeRequired,
        Self::Disconnected,
    ];

    /// The number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::BinaryFrame => 1003,
            Self::BadUtf8 => 1007,
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::TryLater => 1013,
            Self::Goodbye => 4000,
            Self::TokenExpired => 4001,
            Self::SlowConsumer => 4002,
            Self::RateLimited => 4003,
            Self::NoHeartbeat => 4004,
            Self::ConnectionLimit => 4005,
            Self::ProtocolError | Self::AuthTimeout => 4500,
            Self::Unauthorized => 4501,
            Self::Forbidden => 4502,
            Self::UpgradeRequired => 4503,
            Self::Disconnected => 4505,
        }
    }

    /// The reason on the wire: ASCII, under 123 bytes.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::GoingAway => "going_away",
            Self::BinaryFrame => "binary_frame",
            Self::BadUtf8 => "bad_utf8",
            Self::TooBig => "too_big",
            Self::Internal => "internal",
            Self::Restart => "restart",
            Self::TryLater => "try_later",
            Self::Goodbye => "goodbye",
            Self::TokenExpired => "token_expired",
            Self::SlowConsumer => "slow_consumer",
            Self::RateLimited => "rate_limited",
            Self::NoHeartbeat => "no_heartbeat",
            Self::ProtocolError => "protocol_error",
            Self::AuthTimeout => "auth_timeout",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::UpgradeRequired => "upgrade_required",
            Self::ConnectionLimit => "connection_limit",
            Self::Disconnected => "disconnected",
        }
    }

    /// What a client does after a close with `code`, known or not: 4500–4999 stay closed, all others reconnect.
    /// (1000 is "normal" from the server's side; a client's own disconnect never asks.)
    pub fn reconnect(code: u16) -> Reconnect {
        match code {
            4001 => Reconnect::WithNewToken,
            4500..=4999 => Reconnect::No,
            _ => Reconnect::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_the_policy() {
        for code in CloseCode::ALL {
            let expected = match code.code() {
                4001 => Reconnect::WithNewToken,
                4500.. => Reconnect::No,
                _ => Reconnect::Yes,
            };
            assert_eq!(CloseCode::reconnect(code.code()), expected, "{code:?}");
            assert!(code.reason().is_ascii() && code.reason().len() < 123);
        }
        assert_eq!(CloseCode::reconnect(4321), Reconnect::Yes);
        assert_eq!(CloseCode::reconnect(4504), Reconnect::No, "retired; older servers send it");
        assert_eq!(CloseCode::reconnect(4777), Reconnect::No);
        assert_eq!(CloseCode::reconnect(1006), Reconnect::Yes);
    }

    #[test]
    fn names_are_those_on_the_wire() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).ok(), Some(code.name().into()));
        }
    }
}
