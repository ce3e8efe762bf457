//! The set of rooms: what is wanted, what is joined, and how far each stream has been read (§5).

mod asking;

pub(crate) use asking::Turn;

use crate::{
    control::RoomOutcome,
    pending::Failure,
    room::{Delivery, RoomKey, RoomState, RoomStatus},
};
use asking::Turns;
use osbackend_protocol::{RoomName, RoomPosition};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Position {
    pub(crate) epoch: String,
    pub(crate) offset: u64,
}

/// A `join` that was written: its id, when it is written again for want of an answer, and whether it asked to recover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ask {
    pub(crate) id: u64,
    pub(crate) again_at: u64,
    pub(crate) from_position: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Membership {
    /// Not won on this connection yet.
    Out,
    /// Part of the `connect` that isn't answered yet.
    Greeting,
    Joined,
    Refused,
}

/// What becomes of a room's `join`. A member asks, too, to heal a gap.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asking {
    Idle,
    /// It is written in its turn.
    Next {
        from_position: bool,
    },
    Sent(Ask),
    /// Refused for now; asked again at this time.
    At(u64),
    /// Refused because the connection is in as many rooms as it may; asked again once there may be a place.
    Place,
}

#[derive(Debug)]
struct Room {
    name: RoomName,
    snapshot: bool,
    /// Joined by the server, not by the application.
    auto: bool,
    position: Option<Position>,
    /// Events of the snapshot that still have to come; until then there is no position to recover from.
    snapshot_due: u64,
    /// Events up to this offset are the replay of what was missed.
    replay_to: u64,
    membership: Membership,
    asking: Asking,
    /// A join was written on this connection, or a leave was not, and nothing shows that we are no member.
    asked: bool,
    /// Why it was refused last, until it is joined or the application asks anew.
    failure: Option<Failure>,
    /// How often in a row it was full.
    full: u32,
    recovered: Option<bool>,
    client_count: Option<u64>,
    /// Gaps in a row without an event that fitted.
    strikes: u32,
}

impl Room {
    fn new(name: RoomName, snapshot: bool, auto: bool) -> Self {
        Self {
            name,
            snapshot,
            auto,
            position: None,
            snapshot_due: 0,
            replay_to: 0,
            membership: Membership::Out,
            asking: Asking::Idle,
            asked: false,
            failure: None,
            full: 0,
            recovered: None,
            client_count: None,
            strikes: 0,
        }
    }

    /// From where the server may recover.
    fn resumable(&self) -> Option<&Position> {
        self.position.as_ref().filter(|_| self.snapshot_due == 0)
    }

    fn state(&self) -> RoomState {
        let status = match self.membership {
            Membership::Joined if self.asking == Asking::Idle => RoomStatus::Joined,
            Membership::Joined => RoomStatus::Joining,
            _ if self.failure.is_some() => RoomStatus::Refused,
            _ => RoomStatus::Joining,
        };
        // Of a membership that is over, what can't be recovered from is no position.
        let position = if self.membership == Membership::Joined { self.position.as_ref() } else { self.resumable() };
        RoomState {
            room: self.name.as_str().to_owned(),
            status,
            epoch: position.map(|position| position.epoch.clone()),
            offset: position.map(|position| position.offset),
            recovered: self.recovered,
            client_count: self.client_count,
            snapshot_due: Some(self.snapshot_due).filter(|due| *due > 0 && status == RoomStatus::Joined),
            error: self.failure.clone(),
        }
    }
}

/// What a gap asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heal {
    /// Joining again is under way already.
    UnderWay,
    /// Join again from the position.
    Resume,
    /// That brought nothing: join anew, so that the room is told `recovered: false`.
    Restart,
    /// Not even that helped: the connection itself can't be trusted.
    Reconnect,
}

/// A `join` to be written.
#[derive(Debug, PartialEq)]
pub(crate) struct JoinFrame {
    pub(crate) room: RoomName,
    pub(crate) position: Option<(String, u64)>,
    pub(crate) snapshot: bool,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u16,
    room: Option<Room>,
}

/// All rooms, by key and by name.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    slots: Vec<Slot>,
    /// In the order of the names. A vector: a map is 3 KB more in the browser.
    by_name: Vec<(RoomName, RoomKey)>,
    turns: Turns,
}

/// Bytes of a `connect` that room positions may take; those beyond it are joined one by one.
const CONNECT_ROOM_BYTES: usize = 32 * 1024;

impl Rooms {
    /// Where a name is, or where it belongs.
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|(other, _)| other.as_str().cmp(name))
    }

    pub(crate) fn key(&self, name: &str) -> Option<RoomKey> {
        self.find(name).ok().map(|at| self.by_name[at].1)
    }

    fn get(&mut self, key: RoomKey) -> Option<&mut Room> {
        let slot = self.slots.get_mut(key.slot())?;
        if slot.generation == key.generation() { slot.room.as_mut() } else { None }
    }

    fn iter(&self) -> impl Iterator<Item = (RoomKey, &Room)> {
        self.by_name.iter().filter_map(|(_, key)| Some((*key, self.slots.get(key.slot())?.room.as_ref()?)))
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Room> {
        self.slots.iter_mut().filter_map(|slot| slot.room.as_mut())
    }

    /// Adds a room, or gives the one that is there. `None` when there are 65,535 rooms.
    fn insert(&mut self, name: &RoomName, snapshot: bool, auto: bool) -> Option<RoomKey> {
        let place = match self.find(name.as_str()) {
            Ok(at) => return Some(self.by_name[at].1),
            Err(place) => place,
        };
        let index = match self.slots.iter().position(|slot| slot.room.is_none()) {
            Some(free) => free,
            None => {
                self.slots.push(Slot::default());
                self.slots.len() - 1
            }
        };
        let slot_number = u16::try_from(index).ok().filter(|number| *number != u16::MAX)?;
        let slot = &mut self.slots[index];
        slot.generation = slot.generation.wrapping_add(1);
        slot.room = Some(Room::new(name.clone(), snapshot, auto));
        let key = RoomKey::new(slot_number, slot.generation);
        self.by_name.insert(place, (name.clone(), key));
        Some(key)
    }

    /// The application wants this room. False where there is no place for it.
    pub(crate) fn want(&mut self, name: &RoomName, snapshot: bool, live: bool) -> bool {
        let Some(key) = self.insert(name, snapshot, false) else { return false };
        let Some(room) = self.get(key) else { return false };
        if std::mem::take(&mut room.auto) {
            room.snapshot = snapshot;
            room.snapshot_due = if snapshot { room.snapshot_due } else { 0 };
        }
        let anew = room.membership == Membership::Refused && matches!(room.asking, Asking::Idle | Asking::At(_) | Asking::Place);
        if room.membership == Membership::Refused {
            room.membership = Membership::Out;
        }
        if room.membership != Membership::Joined {
            room.failure = None;
            room.full = 0;
        }
        let first = (room.membership, room.asking) == (Membership::Out, Asking::Idle);
        if live && (anew || first) {
            self.ask(key, true);
        }
        true
    }

    /// The server may think of this connection as a member, though no join of the room was written since it is wanted.
    pub(crate) fn may_be_member(&mut self, name: &RoomName) {
        if let Some(room) = self.key(name.as_str()).and_then(|key| self.get(key)) {
            room.asked = true;
        }
    }

    /// Forgets a room. True when the server may think of this connection as a member.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let Ok(at) = self.find(name) else { return false };
        let (_, key) = self.by_name.remove(at);
        let room = self.slots.get_mut(key.slot()).and_then(|slot| slot.room.take());
        room.is_some_and(|room| room.asked || room.membership == Membership::Joined)
    }

    /// The connection is gone: every membership has to be won again; positions stay.
    pub(crate) fn disconnected(&mut self) {
        self.turns.disconnected();
        for room in self.iter_mut() {
            (room.membership, room.asking, room.asked, room.full) = (Membership::Out, Asking::Idle, false, 0);
        }
    }

    /// Another user takes over: rooms that the server joined for the last one are not ours any more.
    pub(crate) fn forget_auto(&mut self) {
        self.forget_auto_but(|_| false);
    }

    /// The same, but for those that the new one has too.
    pub(crate) fn forget_auto_but(&mut self, keep: impl Fn(&RoomName) -> bool) {
        let auto = self.iter().map(|(_, room)| room).filter(|room| room.auto && !keep(&room.name));
        let auto: Vec<RoomName> = auto.map(|room| room.name.clone()).collect();
        for name in auto {
            self.remove(name.as_str());
        }
    }

    /// The rooms for `connect`, refused ones too (the token may be another one now), as far as they fit.
    pub(crate) fn positions(&mut self, most: usize) -> Vec<RoomPosition> {
        let mut bytes = 0;
        let mut positions = Vec::new();
        for room in self.iter_mut() {
            let epoch = room.resumable().map_or(0, |position| position.epoch.len());
            bytes += room.name.as_str().len() + epoch + 64;
            if bytes > CONNECT_ROOM_BYTES || positions.len() >= most {
                break;
            }
            room.membership = Membership::Greeting;
            positions.push(RoomPosition {
                room: room.name.clone(),
                epoch: room.resumable().map(|position| position.epoch.clone()),
                offset: room.resumable().map(|position| position.offset),
            });
        }
        positions
    }

    /// Adds a room that the server joined by itself. One whose name this version can't read is let be.
    pub(crate) fn adopt(&mut self, name: &str) -> Option<RoomKey> {
        self.insert(&RoomName::parse(name).ok()?, true, true)
    }

    /// Joined: takes over epoch and offset as §5 says.
    pub(crate) fn joined(&mut self, key: RoomKey, result: &RoomOutcome) -> Option<RoomState> {
        let room = self.get(key)?;
        let same_epoch = room.position.as_ref().is_some_and(|position| position.epoch == result.epoch);
        let recovered = result.recovered && same_epoch;
        if !recovered {
            // A recovery of a room that had no position here counts from before its replay.
            let behind = if result.recovered { result.replayed } else { 0 };
            room.position = Some(Position { epoch: result.epoch.clone(), offset: result.offset.saturating_sub(behind) });
            room.snapshot_due = if room.snapshot { result.snapshot } else { 0 };
        }
        room.replay_to = if result.recovered && result.replayed > 0 { result.offset } else { 0 };
        room.membership = Membership::Joined;
        room.asking = Asking::Idle;
        room.asked = false;
        room.failure = None;
        room.full = 0;
        room.recovered = Some(recovered);
        room.client_count = Some(result.client_count);
        Some(room.state())
    }

    /// Refused, until the next connection, the next `join`, or what the failure says. A room of the server's own is dropped; the
    /// same refusal isn't told twice.
    pub(crate) fn refused(&mut self, key: RoomKey, failure: Failure) -> Option<RoomState> {
        let room = self.get(key)?;
        if room.auto {
            let name = room.name.clone();
            self.remove(name.as_str());
            return None;
        }
        let told = room.failure.as_ref().is_some_and(|before| before.code == failure.code);
        room.membership = Membership::Refused;
        room.asking = Asking::Idle;
        room.asked = false;
        room.failure = Some(failure);
        room.position = None;
        room.recovered = None;
        room.client_count = None;
        (!told).then(|| room.state())
    }

    /// Whether the server's own `room_left` is about the membership that stands (and not about one from before a
    /// join that is still unanswered).
    pub(crate) fn is_joined(&mut self, key: RoomKey) -> bool {
        self.get(key).is_some_and(|room| room.membership == Membership::Joined)
    }

    /// Whether the application has come back to the room since it was last asked for: it begins anew.
    pub(crate) fn is_new(&mut self, key: RoomKey) -> bool {
        let new = |room: &mut Room| room.membership == Membership::Out && room.asking == Asking::Idle && room.position.is_none();
        self.get(key).is_some_and(new)
    }

    /// Judges an event (§5). `offset` 0 stands for an ephemeral one.
    pub(crate) fn judge(&mut self, key: RoomKey, offset: u64, skipped: u64, snapshot: bool) -> Delivery {
        let Some(room) = self.get(key) else { return Delivery::NotJoined };
        if room.membership != Membership::Joined {
            return Delivery::NotJoined;
        }
        let Some(position) = room.position.as_mut() else { return Delivery::NotJoined };
        if offset == 0 {
            return Delivery::Deliver;
        }
        if snapshot && offset <= position.offset {
            room.snapshot_due = room.snapshot_due.saturating_sub(1);
            return if room.snapshot { Delivery::Deliver } else { Delivery::Duplicate };
        }
        if offset <= position.offset {
            return Delivery::Duplicate;
        }
        if offset > position.offset.saturating_add(1).saturating_add(skipped) {
            return Delivery::Gap;
        }
        position.offset = offset;
        if room.asking == Asking::Idle {
            room.strikes = 0;
        }
        if offset <= room.replay_to { Delivery::Replayed } else { Delivery::Deliver }
    }

    /// Begins where another client stopped.
    pub(crate) fn begin_at(&mut self, at: RoomPosition) {
        let RoomPosition { room, epoch: Some(epoch), offset: Some(offset) } = at else { return };
        let Some(room) = self.key(room.as_str()).and_then(|key| self.get(key)) else { return };
        if room.position.is_none() {
            room.position = Some(Position { epoch, offset });
        }
    }

    /// What to do about a gap in this room.
    pub(crate) fn gap(&mut self, key: RoomKey) -> Heal {
        let Some(room) = self.get(key) else { return Heal::UnderWay };
        if (room.membership, room.asking) != (Membership::Joined, Asking::Idle) {
            return Heal::UnderWay;
        }
        room.strikes += 1;
        match room.strikes {
            1 => Heal::Resume,
            2 => Heal::Restart,
            _ => {
                room.strikes = 0;
                Heal::Reconnect
            }
        }
    }

    /// All rooms, in the order of their names.
    pub(crate) fn states(&self) -> Vec<RoomState> {
        self.iter().map(|(_, room)| room.state()).collect()
    }
}
