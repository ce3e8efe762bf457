//! Rooms within a session: joins and leaves as fast as the server allows, what it answers, and what is asked for again.

use super::{Machine, Output};
use crate::{
    control::{RoomLeft, RoomOutcome},
    deadlines::Due,
    frames,
    pending::Failure,
    room::{RoomKey, RoomState},
    rooms::{Heal, Turn},
    state::Phase,
};
use osbackend_protocol::RoomName;

/// How long until a join is tried again that the server refused for now without saying when, in milliseconds.
const JOIN_AGAIN_MS: u64 = 1_000;

impl Machine {
    pub(super) fn join(&mut self, room: &RoomName, snapshot: bool) {
        let member = self.leaves.cancel(room);
        if !self.rooms.want(room, snapshot, matches!(self.phase, Phase::Live(_))) {
            self.emit(Output::Room(RoomState::unjoinable(room)));
        } else if member {
            self.rooms.may_be_member(room);
        }
    }

    pub(super) fn leave(&mut self, room: RoomName) {
        if self.rooms.remove(room.as_str()) && matches!(self.phase, Phase::Live(_)) {
            self.leaves.add(room);
        }
    }

    pub(super) fn arm_joins(&mut self) {
        let live = matches!(self.phase, Phase::Live(_));
        self.deadlines.put(Due::Joins, self.rooms.next_due().filter(|_| live));
    }

    /// Writes leaves and joins as far as the server's rates allow. Leaves first: the joins may need their places.
    pub(super) fn flush_rooms(&mut self) -> Result<(), u64> {
        while let Some(room) = self.leaves.next().cloned() {
            self.rates.message(self.now)?;
            let id = self.allocate_id();
            self.leaves.asked(id);
            self.emit(Output::Write(frames::leave(id, room)));
        }
        while let Some(turn) = self.rooms.turn() {
            match turn {
                Turn::Full(key, failure) => {
                    let state = self.rooms.no_place(key, failure);
                    self.emit_room(state);
                }
                Turn::Join(key) => {
                    self.rates.join(self.now)?;
                    let id = self.allocate_id();
                    let again_at = self.now.saturating_add(self.config.request_timeout_ms.max(1));
                    if let Some(frame) = self.rooms.write_join(key, id, again_at) {
                        self.emit(Output::Write(frames::join(id, frame)));
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn heal(&mut self, key: RoomKey) {
        match self.rooms.gap(key) {
            Heal::UnderWay => {}
            Heal::Resume => self.rooms.ask(key, true),
            Heal::Restart => self.rooms.ask(key, false),
            Heal::Reconnect => self.abandon("the stream of a room doesn't heal"),
        }
    }

    pub(super) fn forget_auto_but(&mut self, keep: &[RoomOutcome]) {
        self.rooms.forget_auto_but(|name| keep.iter().any(|result| result.room == name.as_str() && result.error.is_none()));
    }

    /// A room of the greeting: asked for, joined by the server's own will, or left while the greeting was under way.
    pub(super) fn room_result(&mut self, result: &RoomOutcome, asked: &[RoomName]) {
        let key = match self.rooms.key(&result.room) {
            Some(key) => Some(key),
            None if result.error.is_some() => None,
            None => match asked.iter().find(|room| room.as_str() == result.room) {
                Some(room) => {
                    self.leaves.add(room.clone());
                    None
                }
                None => self.rooms.adopt(&result.room),
            },
        };
        let Some(key) = key else { return };
        match &result.error {
            // Left and joined again while the greeting was under way: what is recovered is not this membership's
            // stream, and no snapshot comes. It is asked for with those that the greeting didn't speak of.
            None if result.recovered && self.rooms.is_new(key) => {}
            None => self.take_membership(key, result),
            // More than one `connect` may list, or more than may be joined: which it is, a join of its own tells.
            Some(error) if error.code == "limit_reached" && error.retry_after_ms.is_none() => {}
            Some(error) => self.join_refused(key, error.clone().into()),
        }
    }

    pub(super) fn take_membership(&mut self, key: RoomKey, result: &RoomOutcome) {
        let state = self.rooms.joined(key, result);
        self.emit_room(state);
    }

    pub(super) fn join_refused(&mut self, key: RoomKey, failure: Failure) {
        match (&*failure.code, failure.retry_after_ms) {
            ("rate_limited", _) => {
                let at = self.later(&failure);
                self.rates.pause_joins(at);
                self.rooms.asked_too_fast(key);
            }
            ("limit_reached", None) => {
                let state = self.rooms.no_place(key, failure);
                self.emit_room(state);
            }
            ("limit_reached", Some(retry_after_ms)) => {
                let wait = self.rooms.full_for(key, retry_after_ms);
                let at = self.spread(wait);
                let state = self.rooms.refused(key, failure);
                self.rooms.later(key, at);
                self.emit_room(state);
            }
            _ if failure.is_transient() => {
                let at = self.later(&failure);
                self.rooms.later(key, at);
            }
            _ => {
                let state = self.rooms.refused(key, failure);
                self.emit_room(state);
            }
        }
    }

    /// When to ask again what was refused for now.
    pub(super) fn later(&mut self, failure: &Failure) -> u64 {
        self.spread(failure.retry_after_ms.unwrap_or(JOIN_AGAIN_MS).max(1))
    }

    /// After `ms` and up to as much again: what was refused together isn't asked for together.
    pub(super) fn spread(&mut self, ms: u64) -> u64 {
        self.now.saturating_add(ms).saturating_add(self.backoff.spread(0, ms))
    }

    pub(super) fn room_joined(&mut self, id: Option<u64>, result: RoomOutcome) {
        let asked = id.and_then(|id| self.rooms.asked_with(id));
        let key = match (id, asked) {
            (_, Some(key)) => key,
            // An answer to a join from before a leave: a newer join, or nothing, stands in its place.
            (Some(_), None) => return,
            // The server's own doing.
            (None, None) => match self.rooms.adopt(&result.room) {
                Some(key) => key,
                None => return,
            },
        };
        self.take_membership(key, &result);
    }

    pub(super) fn room_left(&mut self, id: Option<u64>, left: RoomLeft) {
        if let Some(id) = id {
            self.leaves.settle(id);
            self.rooms.place_free();
        }
        // With an id it answers our own leave, and the room is forgotten already.
        let Some(key) = self.rooms.key(&left.room).filter(|_| id.is_none()) else { return };
        if !self.rooms.is_joined(key) {
            return;
        }
        let failure = match left.reason.as_str() {
            "permission_lost" => Failure::local("forbidden", "the token doesn't allow this room any more"),
            "room_closed" => Failure::local("not_joined", "the server closed the room; join again to reopen it"),
            _ => Failure::local("not_joined", "the server ended the membership; join again to renew it"),
        };
        self.rooms.place_free();
        let state = self.rooms.refused(key, failure);
        self.emit_room(state);
    }
}
