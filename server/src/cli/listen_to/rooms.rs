//! What was printed of each room, so that nothing is printed twice and what a join could not recover is fetched.

use std::collections::BTreeMap;

use osbackend_client::{Event, RoomState, RoomStatus};

/// Events to fetch from a room's history: those after `after`, up to `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) room: String,
    pub(super) after: u64,
    pub(super) to: u64,
}

#[derive(Debug, Default)]
struct Printed {
    epoch: Option<String>,
    offset: u64,
}

/// The rooms that are listened to.
#[derive(Debug)]
pub(super) struct Rooms {
    /// `None` until it is joined.
    printed: BTreeMap<String, Option<Printed>>,
    /// From where the first join begins, where the user said so.
    since: Option<u64>,
}

impl Rooms {
    pub(super) fn new(names: &[String], since: Option<u64>) -> Self {
        Self { printed: names.iter().map(|name| (name.clone(), None)).collect(), since }
    }

    /// Whether the room is one of those that were asked for.
    pub(super) fn knows(&self, room: &str) -> bool {
        self.printed.contains_key(room)
    }

    /// A room was joined, or joined again: what has to be fetched, if anything.
    pub(super) fn joined(&mut self, room: &RoomState) -> Option<Gap> {
        let (RoomStatus::Joined, Some(printed)) = (room.status, self.printed.get_mut(&room.room)) else { return None };
        let (epoch, offset) = (room.epoch.clone(), room.offset.unwrap_or(0));
        let after = match printed {
            None => self.since,
            Some(_) if room.recovered == Some(true) => None,
            Some(before) if before.epoch == epoch => Some(before.offset),
            // A new stream: all of it is new.
            Some(_) => Some(0),
        };
        let is_new_stream = printed.as_ref().is_none_or(|before| before.epoch != epoch);
        let before = printed.get_or_insert_default();
        if is_new_stream {
            // Without a wish for what was before, only the snapshot may be older than the join.
            before.offset = after.unwrap_or(0);
        }
        before.epoch = epoch;
        after.filter(|after| *after < offset).map(|after| Gap { room: room.room.clone(), after, to: offset })
    }

    /// Whether the event is to be printed; it counts as printed then.
    pub(super) fn take(&mut self, event: &Event) -> bool {
        let Some(Some(printed)) = self.printed.get_mut(&event.room) else { return false };
        match event.offset {
            None => true,
            Some(offset) if offset <= printed.offset => false,
            // The events of a snapshot have holes between them.
            Some(offset) => {
                printed.offset = offset;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    fn joined(epoch: &str, offset: u64, recovered: bool) -> RoomState {
        RoomState {
            room: "agent:7".to_owned(),
            status: RoomStatus::Joined,
            epoch: Some(epoch.to_owned()),
            offset: Some(offset),
            recovered: Some(recovered),
            client_count: None,
            snapshot_due: None,
            error: None,
        }
    }

    fn event(offset: u64) -> Event {
        Event {
            kind: "note".to_owned(),
            room: "agent:7".to_owned(),
            data: RawValue::from_string("{}".to_owned()).unwrap(),
            offset: Some(offset),
            event_id: None,
            timestamp: None,
            snapshot: false,
            replayed: false,
            skipped: 0,
        }
    }

    fn gap(after: u64, to: u64) -> Option<Gap> {
        Some(Gap { room: "agent:7".to_owned(), after, to })
    }

    #[test]
    fn what_was_missed_is_asked_for() {
        let names = ["agent:7".to_owned()];
        let mut rooms = Rooms::new(&names, None);
        assert!(!rooms.take(&event(1)), "not joined");
        assert_eq!(rooms.joined(&joined("a", 5, false)), None);
        assert!(rooms.take(&event(4)) && rooms.take(&event(6)) && !rooms.take(&event(6)));
        assert_eq!(rooms.joined(&joined("a", 6, true)), None);
        assert_eq!(rooms.joined(&joined("a", 9, false)), gap(6, 9), "too old to recover");
        assert_eq!(rooms.joined(&joined("b", 2, false)), gap(0, 2), "another stream");
        assert!(rooms.take(&event(1)));
        assert_eq!(rooms.joined(&joined("c", 0, false)), None, "with nothing in it");
        assert!(rooms.take(&event(1)));
    }

    #[test]
    fn a_wish_for_the_past_is_for_the_first_join() {
        let names = ["agent:7".to_owned()];
        let mut rooms = Rooms::new(&names, Some(3));
        assert_eq!(rooms.joined(&joined("a", 5, false)), gap(3, 5));
        assert!(!rooms.take(&event(3)) && rooms.take(&event(4)));
        assert_eq!(Rooms::new(&names, Some(5)).joined(&joined("a", 5, false)), None);
    }
}
