//! What is said about a room and its events: the vocabulary that shells share with the machine.

use crate::pending::Failure;
use osbackend_protocol::RoomName;
use serde::Serialize;

/// A room's handle for the hot path. Belongs to one membership: after a leave it names nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey(pub u32);

impl RoomKey {
    /// A key that no room ever has.
    pub const NONE: Self = Self(u32::MAX);

    pub(crate) fn new(slot: u16, generation: u16) -> Self {
        Self(u32::from(generation) << 16 | u32::from(slot))
    }

    pub(crate) fn slot(self) -> usize {
        (self.0 & 0xFFFF) as usize
    }

    pub(crate) fn generation(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

/// What is to be done with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Delivery {
    /// It is the next one: show it. The position has moved.
    Deliver = 0,
    /// It was shown before: never show it again.
    Duplicate = 1,
    /// Something before it was lost without being told. Not shown: the machine joins again from its position, and
    /// either it comes once more, in order, or the room is told `recovered: false`.
    Gap = 2,
    /// The room isn't joined now: not shown.
    NotJoined = 3,
    /// As `Deliver`, of what happened while this client was away: it comes because a join took the stream up again.
    Replayed = 4,
}

impl Delivery {
    /// Whether the event is to be shown.
    pub fn is_shown(self) -> bool {
        matches!(self, Self::Deliver | Self::Replayed)
    }
}

/// Where a room stands, as the application sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomStatus {
    /// Asked for, or will be as soon as there is a connection.
    Joining,
    /// A member.
    Joined,
    /// The server said no; asked again with the next connection, the next `join`, or, after `limit_reached`, once there may be a
    /// place.
    Refused,
}

/// A room, as the application sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomState {
    /// The room.
    pub room: String,
    /// Where it stands.
    pub status: RoomStatus,
    /// The epoch in which `offset` counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// The offset of the last event that was shown, or from which the stream goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Whether the last join missed nothing since the position it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// Connections in the room at the last join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_count: Option<u64>,
    /// Events of the snapshot that follow this news (§5); `None` where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_due: Option<u64>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

impl RoomState {
    /// A room for which the client has no place left.
    pub(crate) fn unjoinable(room: &RoomName) -> Self {
        Self {
            room: room.as_str().to_owned(),
            status: RoomStatus::Refused,
            epoch: None,
            offset: None,
            recovered: None,
            client_count: None,
            snapshot_due: None,
            error: Some(Failure::local("limit_reached", "this client is in too many rooms: leave one first")),
        }
    }
}
