//! The bounds of the protocol (§1, §7, §10) and the form in which the greeting tells them.

use serde::{Deserialize, Serialize};

/// Largest message in bytes, by default (§1).
pub const MAX_MESSAGE_BYTES: usize = 65_536;
/// Deepest nesting of a client's frame, and of an event as it is sent (§2).
pub const MAX_DEPTH: usize = 32;
/// Deepest nesting of a server's frame that is read: `history` holds events, three levels down.
pub const MAX_SERVER_DEPTH: usize = MAX_DEPTH + 8;
/// Largest integer on the wire: the last one below 2^53.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;
/// Largest frame into which messages are batched, in bytes (§7).
pub const MAX_BATCH_BYTES: usize = 65_536;
/// Rooms a connection, by default (§1).
pub const MAX_ROOMS: u32 = 100;
/// Malformed frames within [`MALFORMED_WINDOW_MS`] after which the connection is closed (§2).
pub const MAX_MALFORMED: u32 = 10;
/// The window for [`MAX_MALFORMED`], in milliseconds.
pub const MALFORMED_WINDOW_MS: u64 = 10_000;
/// Longest `id` of a request that is a string, in bytes.
pub const MAX_REQUEST_ID_BYTES: usize = 128;
/// Longest name of a message or event type, in bytes.
pub const MAX_TYPE_BYTES: usize = 128;
/// Longest `idempotencyKey`, in bytes.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 128;
/// Most events that one answer holds.
pub const MAX_PAGE: u32 = 1000;
/// Bytes of events after which a page of history ends (§3); one event is always in it.
pub const MAX_PAGE_BYTES: usize = 256 * 1024;
/// Most points of metrics that one answer holds.
pub const MAX_METRICS_PAGE: u32 = 10_000;

/// What this connection may do, as the greeting tells it; 0 means without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Limits {
    /// Largest message, in bytes.
    pub max_message_bytes: u32,
    /// Rooms joined at once.
    pub max_rooms: u32,
    /// Messages a second, sustained.
    pub message_rate: u32,
    /// Messages at once.
    pub message_burst: u32,
    /// Joins a second, sustained.
    pub join_rate: u32,
    /// Joins at once; a server that doesn't tell it (0) is taken to allow those of a second.
    #[serde(default)]
    pub join_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: MAX_MESSAGE_BYTES as u32,
            max_rooms: MAX_ROOMS,
            message_rate: 50,
            message_burst: 100,
            join_rate: 20,
            join_burst: 100,
        }
    }
}
