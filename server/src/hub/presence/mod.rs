//! Who is in which room, told to those who may know (docs/PROTOCOL.md §5). In memory only: a restart leaves no ghosts.
//!
//! `roster` decides for one room, `departures` keeps what time brings, `room` tells the members under the room's lock,
//! so that an answer to `presence:get` and what is told of comings and goings are queued in the order in which they are true.

mod departures;
mod info;
mod room;
mod roster;
#[cfg(test)]
mod tests;

pub use info::Info;
pub use roster::Departure;
pub(super) use roster::Roster;

use super::{Hub, registry::ConnectionId};
use departures::Departures;
use osbackend_protocol::{RoomName, server_msg::Presence};
use std::{
    sync::Arc,
    task::{Context, Poll},
};

/// How presence is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceOptions {
    /// How long a user whose last connection is lost counts as present, in milliseconds.
    pub grace_ms: u64,
    /// Users that are listed and told of in one room at most, from there on only counts are; 0 for no limit.
    pub limit: usize,
    /// Until when clients come back after a start, in milliseconds since 1970: their joins are not told one by one.
    pub quiet_until: u64,
}

impl PresenceOptions {
    /// Of a process that begins at `now_ms`.
    pub fn new(grace_ms: u64, limit: usize, now_ms: u64) -> Self {
        Self { grace_ms, limit, quiet_until: now_ms.saturating_add(grace_ms) }
    }
}

/// 15 s and 200 users, with nobody to come back.
impl Default for PresenceOptions {
    fn default() -> Self {
        Self { grace_ms: 15_000, limit: 200, quiet_until: 0 }
    }
}

/// Who joins, as the others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user.
    pub user: Arc<str>,
    /// For display.
    pub info: Option<Arc<Info>>,
}

/// What presence keeps beside the rooms.
pub(super) struct Presences {
    options: PresenceOptions,
    departures: Departures,
}

impl Presences {
    pub(super) fn new(options: PresenceOptions) -> Self {
        Self { options, departures: Departures::new(options.quiet_until) }
    }
}

impl Hub {
    /// Who is in a room.
    pub fn presence(&self, room: &RoomName) -> Presence {
        let nobody = || Presence { room: room.clone(), users: Vec::new(), anonymous: 0, counts: None };
        self.peek(room, |open| open.roster.presence(room.clone())).unwrap_or_else(nobody)
    }

    /// Answers who is in a room: `answer` queues it under the room's lock, before anyone else comes or goes. A member that
    /// asks is told of those from now on, and its picture is kept true.
    pub fn tell_presence(&self, connection: ConnectionId, room: &RoomName, answer: impl FnOnce(Presence)) {
        let mut answer = Some(answer);
        self.peek(room, |open| {
            open.follow(connection);
            if let Some(answer) = answer.take() {
                answer(open.roster.presence(room.clone()));
            }
        });
        if let Some(answer) = answer {
            answer(self.presence(room));
        }
    }

    /// A member's user is known now, or its access has changed. `sees`: whether it is told who comes and goes.
    pub fn identify(&self, connection: ConnectionId, room: &RoomName, person: Option<&Person>, sees: bool, now_ms: u64) {
        self.peek(room, |open| open.identify(connection, person, sees, now_ms, &self.presences));
    }

    /// When [`Self::presence_due`] is to be called next, in milliseconds since 1970; `None` while nobody is missed.
    pub fn next_presence(&self) -> Option<u64> {
        self.presences.departures.next()
    }

    /// As [`Self::next_presence`], pending while nobody is missed; for one waiter at a time. Who waits is also woken when
    /// the hub is dropped.
    pub fn poll_next_presence(&self, cx: &mut Context<'_>) -> Poll<u64> {
        self.presences.departures.poll_next(cx)
    }

    /// Tells who has been gone for too long, and, once after the start, who came back.
    pub fn presence_due(&self, now_ms: u64) {
        let (users, stale) = self.presences.departures.take(now_ms);
        // A draining server sends its clients to another one: they are not gone.
        let draining = self.registry.is_draining();
        for (room, user) in users {
            let unneeded = self.peek(&room, |open| {
                if !draining {
                    open.expired(&user, now_ms, &self.presences);
                }
                open.is_deserted() && open.stream.is_idle()
            });
            if unneeded == Some(true) {
                self.drop_if_idle(&room);
            }
        }
        for room in stale {
            self.peek(&room, |open| open.redraw(now_ms));
        }
    }

    /// Users that are present, summed over the rooms.
    pub fn present_users(&self) -> usize {
        self.totals.users()
    }
}
