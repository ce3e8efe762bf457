//! Which room is joined next, and when one that was refused is asked for again.

use super::{Ask, Asking, JoinFrame, Membership, Room, Rooms};
use crate::{
    pending::Failure,
    room::{RoomKey, RoomState},
};
use std::collections::VecDeque;

/// A full room is asked for again after twice this at most, in milliseconds, unless the server wants it later.
const FULL_AGAIN_MS: u64 = 15_000;

/// The order of the joins.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Rooms whose join is to be written, in the order in which they were wanted; some may have been left since.
    queue: VecDeque<RoomKey>,
    /// The connection is in as many rooms as it may, as the server said: until a place is free, asking is no use.
    full: Option<Failure>,
    /// There may be a place for a room that was refused for want of one.
    hope: bool,
    /// The room that was asked for to find out. One at a time: each refusal costs as much as a join.
    probe: Option<RoomKey>,
}

impl Turns {
    pub(super) fn disconnected(&mut self) {
        *self = Self::default();
    }
}

/// What is to be done next about the rooms.
#[derive(Debug, PartialEq)]
pub(crate) enum Turn {
    /// Write this room's join.
    Join(RoomKey),
    /// The room can't be joined: that is known without asking.
    Full(RoomKey, Failure),
}

impl Rooms {
    /// Queues the join of a room.
    pub(crate) fn ask(&mut self, key: RoomKey, from_position: bool) {
        if let Some(room) = self.get(key) {
            room.asking = Asking::Next { from_position };
            self.turns.queue.push_back(key);
        }
    }

    /// After a greeting: queues the rooms that it didn't speak of. `again` takes those along whose refusal another token may lift.
    pub(crate) fn ask_for_rest(&mut self, again: bool) {
        for room in self.iter_mut() {
            let lifted =
                again && room.membership == Membership::Refused && room.failure.as_ref().is_some_and(Failure::is_permission);
            if lifted || room.membership == Membership::Greeting {
                room.membership = Membership::Out;
            }
        }
        let out =
            |(key, room): (RoomKey, &Room)| ((room.membership, room.asking) == (Membership::Out, Asking::Idle)).then_some(key);
        let rest: Vec<RoomKey> = self.iter().filter_map(out).collect();
        rest.into_iter().for_each(|key| self.ask(key, true));
    }

    /// What is to be done next, if anything.
    pub(crate) fn turn(&mut self) -> Option<Turn> {
        loop {
            let Some(key) = self.turns.queue.front().copied() else {
                self.probe_for_place()?;
                continue;
            };
            match self.get(key).map(|room| (room.asking, room.membership)) {
                Some((Asking::Next { .. }, membership)) => {
                    let full = self.turns.full.clone().filter(|_| membership != Membership::Joined);
                    return Some(full.map_or(Turn::Join(key), |failure| Turn::Full(key, failure)));
                }
                _ => self.turns.queue.pop_front(),
            };
        }
    }

    /// Queues one room that was refused for want of a place, where there may be one.
    fn probe_for_place(&mut self) -> Option<()> {
        if !self.turns.hope || self.turns.full.is_some() {
            return None;
        }
        let under_way = |room: &mut Room| matches!(room.asking, Asking::Next { .. } | Asking::Sent(_));
        if self.turns.probe.is_some_and(|key| self.get(key).is_some_and(under_way)) {
            return None;
        }
        let probe = self.iter().find(|(_, room)| room.asking == Asking::Place).map(|(key, _)| key);
        self.turns.probe = probe;
        self.turns.hope = probe.is_some();
        self.ask(probe?, true);
        Some(())
    }

    /// The join of this room, which is the next, as it is written.
    pub(crate) fn write_join(&mut self, key: RoomKey, id: u64, again_at: u64) -> Option<JoinFrame> {
        let room = self.get(key)?;
        let Asking::Next { from_position } = room.asking else { return None };
        room.asking = Asking::Sent(Ask { id, again_at, from_position });
        room.asked = true;
        let position = room.resumable().filter(|_| from_position);
        Some(JoinFrame {
            room: room.name.clone(),
            position: position.map(|position| (position.epoch.clone(), position.offset)),
            snapshot: room.snapshot,
        })
    }

    /// Queues the joins that are due again at `now`.
    pub(crate) fn due(&mut self, now: u64) {
        let due = |(key, room): (RoomKey, &Room)| again_at(room).is_some_and(|at| at <= now).then_some(key);
        let due: Vec<RoomKey> = self.iter().filter_map(due).collect();
        due.into_iter().for_each(|key| self.ask(key, true));
    }

    /// When the earliest join is due again.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.iter().filter_map(|(_, room)| again_at(room)).min()
    }

    /// The room whose unanswered join has this id.
    pub(crate) fn asked_with(&self, id: u64) -> Option<RoomKey> {
        let asked = |room: &Room| matches!(room.asking, Asking::Sent(ask) if ask.id == id);
        self.iter().find(|(_, room)| asked(room)).map(|(key, _)| key)
    }

    /// The rate of joins was too high: the room is asked for before any other, once joins go on.
    pub(crate) fn asked_too_fast(&mut self, key: RoomKey) {
        let Some(room) = self.get(key) else { return };
        let from_position = !matches!(room.asking, Asking::Sent(Ask { from_position: false, .. }));
        room.asking = Asking::Next { from_position };
        self.turns.queue.push_front(key);
    }

    /// Refused for now.
    pub(crate) fn later(&mut self, key: RoomKey, at: u64) {
        if let Some(room) = self.get(key) {
            room.asking = Asking::At(at);
        }
    }

    /// For how long to leave a room alone that has as many members as it may have, in milliseconds; the server said
    /// `retry_after_ms`. The longer the more often it was full.
    pub(crate) fn full_for(&mut self, key: RoomKey, retry_after_ms: u64) -> u64 {
        let Some(room) = self.get(key) else { return retry_after_ms };
        room.full = room.full.saturating_add(1);
        let doubled = retry_after_ms.max(1).saturating_mul(1 << (room.full - 1).min(16));
        doubled.min(FULL_AGAIN_MS.max(retry_after_ms))
    }

    /// Refused because this connection is in as many rooms as it may: asked for again once it has left one.
    pub(crate) fn no_place(&mut self, key: RoomKey, failure: Failure) -> Option<RoomState> {
        self.turns.full = Some(failure.clone());
        let state = self.refused(key, failure);
        if let Some(room) = self.get(key) {
            room.asking = Asking::Place;
        }
        state
    }

    /// A membership ended: there may be a place for another.
    pub(crate) fn place_free(&mut self) {
        self.turns.full = None;
        self.turns.hope = true;
    }
}

fn again_at(room: &Room) -> Option<u64> {
    match room.asking {
        Asking::At(at) => Some(at),
        Asking::Sent(ask) => Some(ask.again_at),
        Asking::Idle | Asking::Next { .. } | Asking::Place => None,
    }
}
