//! What one application was told, held against the truth at every step (§5).

use crate::{oracle::Truth, schedule::PUBLIC_ROOM};
use osbackend_client_core::{ConnectionState, RoomState, RoomStatus};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An event as the application got it.
pub(crate) struct SeenEvent {
    pub(crate) kind: String,
    pub(crate) data: String,
    pub(crate) room: String,
    pub(crate) offset: Option<u64>,
    pub(crate) event_id: String,
    pub(crate) snapshot: bool,
    pub(crate) skipped: u64,
}

/// What is wrong.
pub(crate) type Verdict = Result<(), String>;

/// One membership as the application knows it.
#[derive(Debug)]
struct View {
    epoch: String,
    offset: u64,
    /// Offsets of the snapshot that still has to come.
    snapshot: VecDeque<u64>,
}

/// The application's picture of its connection.
#[derive(Default)]
pub(crate) struct Judge {
    /// The rooms it wants, and whether with a snapshot.
    pub(crate) wanted: BTreeMap<String, bool>,
    views: BTreeMap<String, View>,
    pub(crate) connected: bool,
    pub(crate) requests: BTreeSet<u64>,
    ephemeral: BTreeSet<(String, String)>,
    pub(crate) delivered: u64,
    pub(crate) skipped: u64,
    pub(crate) recovered: u64,
    pub(crate) lost: u64,
}

impl Judge {
    /// The application wants to be in a room, or takes over one that the server joined.
    pub(crate) fn wanted(&mut self, room: &str, snapshot: bool) {
        if let Some(view) = self.views.get_mut(room).filter(|_| !snapshot) {
            view.snapshot.clear();
        }
    }

    pub(crate) fn left(&mut self, room: &str) {
        self.wanted.remove(room);
        self.views.remove(room);
    }

    pub(crate) fn state(&mut self, state: &ConnectionState) {
        self.connected = matches!(state, ConnectionState::Connected { .. });
        if matches!(state, ConnectionState::Closed { code: None, reason, .. } if reason == "disconnected") {
            // Rooms of the server's own go with the session.
            self.views.retain(|room, _| self.wanted.contains_key(room));
        }
    }

    pub(crate) fn room(&mut self, state: &RoomState, truth: &Truth, now: u64) -> Verdict {
        let room = &state.room;
        match state.status {
            RoomStatus::Joining => return Ok(()),
            RoomStatus::Refused => {
                self.views.remove(room);
                return Ok(());
            }
            RoomStatus::Joined => {}
        }
        let (Some(epoch), Some(offset), Some(recovered)) = (&state.epoch, state.offset, state.recovered) else {
            return Err(format!("{room}: joined without epoch, offset or recovered: {state:?}"));
        };
        if recovered {
            self.recovered += 1;
            let Some(view) = self.views.get(room) else {
                return Err(format!("{room}: recovered, though there was nothing to recover"));
            };
            if view.epoch != *epoch || view.offset != offset {
                return Err(format!("{room}: recovered at {epoch}/{offset}, but the application stood at {view:?}"));
            }
            if let Some(missing) = view.snapshot.front() {
                return Err(format!("{room}: recovered, though the snapshot's event {missing} never came"));
            }
            return Ok(());
        }
        self.lost += 1;
        if let Some(goes_on) = &truth.goes_on
            && goes_on != epoch
        {
            return Err(format!("{room}: joined in {epoch}, though the streams go on in {goes_on}"));
        }
        let none = Default::default();
        let history = truth.rooms.get(&(room.clone(), epoch.clone())).unwrap_or(&none);
        if offset > history.offset() {
            return Err(format!("{room}: joined at {epoch}/{offset}, but the room has {} events", history.offset()));
        }
        if let Some(view) = self.views.get(room)
            && view.epoch == *epoch
            && view.offset > offset
        {
            return Err(format!("{room}: joined at {epoch}/{offset}, behind what was delivered: {view:?}"));
        }
        if let Some(view) = self.views.get(room)
            && view.epoch == *epoch
            && view.snapshot.is_empty()
            && history.held(view.offset, offset, truth.retention, now)
        {
            return Err(format!("{room}: not recovered at {epoch}/{offset}, though all since {} is held", view.offset));
        }
        let snapshot = if *self.wanted.get(room).unwrap_or(&true) { history.snapshot(offset).into() } else { VecDeque::new() };
        self.views.insert(room.clone(), View { epoch: epoch.clone(), offset, snapshot });
        Ok(())
    }

    pub(crate) fn event(&mut self, event: &SeenEvent, truth: &Truth) -> Verdict {
        let room = &event.room;
        if !self.connected {
            return Err(format!("{room}: an event came while there was no connection"));
        }
        let Some(view) = self.views.get_mut(room) else {
            return Err(format!("{room}: event {:?} came without a membership", event.offset));
        };
        self.delivered += 1;
        let Some(offset) = event.offset else {
            if truth.ephemeral.get(&event.event_id) != Some(room) {
                return Err(format!("{room}: an ephemeral event came that was never published"));
            }
            if !self.ephemeral.insert((room.clone(), event.event_id.clone())) {
                return Err(format!("{room}: the ephemeral event {} came twice", event.event_id));
            }
            return Ok(());
        };
        let history = truth.rooms.get(&(room.clone(), view.epoch.clone()));
        let Some(fact) = history.and_then(|history| history.fact(offset)) else {
            return Err(format!("{room}: event {}/{offset} came, which never was", view.epoch));
        };
        if *fact.event_id != *event.event_id || *fact.kind != *event.kind || fact.data != event.data {
            return Err(format!("{room}: event {}/{offset} came changed", view.epoch));
        }
        if event.snapshot && event.skipped > 0 {
            return Err(format!("{room}: the snapshot's event {offset} says that {} were skipped", event.skipped));
        }
        if event.snapshot {
            return match view.snapshot.pop_front() {
                Some(due) if due == offset => Ok(()),
                due => Err(format!("{room}: the snapshot's event {offset} came, where {due:?} was due")),
            };
        }
        if let Some(missing) = view.snapshot.front() {
            return Err(format!("{room}: event {offset} came before the snapshot's event {missing}"));
        }
        if offset <= view.offset {
            return Err(format!("{room}: event {offset} came again after {}", view.offset));
        }
        if offset != view.offset + 1 + event.skipped {
            let (before, skipped) = (view.offset, event.skipped);
            return Err(format!("{room}: event {offset} with skipped {skipped} came after {before}"));
        }
        if let Some(history) = history
            && let Some(lost) = (view.offset + 1..offset).find(|lost| !history.may_skip(*lost))
        {
            return Err(format!("{room}: event {lost} was skipped, which nothing replaces"));
        }
        self.skipped += event.skipped;
        view.offset = offset;
        Ok(())
    }

    /// Once all is quiet: the application has everything, of every room that it may be in.
    #[allow(clippy::too_many_arguments, reason = "what is right depends on who it is")]
    pub(crate) fn at_rest(
        &self,
        rooms: &[RoomState],
        own: Option<&str>,
        admin: bool,
        anonymous: bool,
        truth: &Truth,
        current: &[(String, String)],
    ) -> Verdict {
        if let Some(id) = self.requests.first() {
            return Err(format!("request {id} never had an outcome"));
        }
        let allowed = |room: &str| match anonymous {
            true => room == PUBLIC_ROOM,
            false => !room.starts_with("user:") || Some(room) == own || admin,
        };
        let mut expected: BTreeSet<&str> = self.wanted.keys().map(String::as_str).collect();
        expected.extend(own);
        let known: BTreeSet<&str> = rooms.iter().map(|state| state.room.as_str()).collect();
        if expected != known {
            return Err(format!("the rooms should be {expected:?} and are {known:?}"));
        }
        for state in rooms {
            let wished = if allowed(&state.room) { RoomStatus::Joined } else { RoomStatus::Refused };
            if state.status != wished {
                return Err(format!("{} should be {wished:?} and is {state:?}", state.room));
            }
            let Some(view) = self.views.get(&state.room) else {
                if wished == RoomStatus::Joined {
                    return Err(format!("{}: joined, but the application was never told", state.room));
                }
                continue;
            };
            let Some((_, epoch)) = current.iter().find(|(name, _)| *name == state.room) else {
                continue;
            };
            let last = truth.rooms.get(&(state.room.clone(), epoch.clone())).map_or(0, |history| history.offset());
            if view.epoch != *epoch || view.offset != last || !view.snapshot.is_empty() {
                return Err(format!("{}: the room is at {epoch}/{last}, the application at {view:?}", state.room));
            }
        }
        Ok(())
    }
}
