//! Leaves that the server hasn't carried out yet. The room is forgotten here at once, so what is refused for now must be
//! asked again, or the server would go on sending events that nobody wants.

use osbackend_protocol::RoomName;

#[derive(Debug)]
struct Leave {
    id: u64,
    room: RoomName,
    again_at: Option<u64>,
}

/// The leaves of this connection.
#[derive(Debug, Default)]
pub(crate) struct Leaves(Vec<Leave>);

impl Leaves {
    /// A `leave` was written.
    pub(crate) fn asked(&mut self, id: u64, room: RoomName) {
        self.0.push(Leave { id, room, again_at: None });
    }

    /// It was answered, with success or for good.
    pub(crate) fn settle(&mut self, id: u64) {
        self.0.retain(|leave| leave.id != id);
    }

    /// Whether this is an unanswered leave.
    pub(crate) fn contains(&self, id: u64) -> bool {
        self.0.iter().any(|leave| leave.id == id)
    }

    /// It was refused for now: to be asked again at this time.
    pub(crate) fn later(&mut self, id: u64, at: u64) {
        if let Some(leave) = self.0.iter_mut().find(|leave| leave.id == id) {
            leave.again_at = Some(at);
        }
    }

    /// The application is back in the room: leaving it again would undo that.
    pub(crate) fn cancel(&mut self, room: &RoomName) {
        self.0.retain(|leave| leave.room != *room);
    }

    /// Takes out what is due at `now`.
    pub(crate) fn due(&mut self, now: u64) -> Vec<RoomName> {
        let is_due = |leave: &Leave| leave.again_at.is_some_and(|at| at <= now);
        let due = self.0.iter().filter(|leave| is_due(leave)).map(|leave| leave.room.clone()).collect();
        self.0.retain(|leave| !is_due(leave));
        due
    }

    /// When the earliest is due again.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.0.iter().filter_map(|leave| leave.again_at).min()
    }

    /// The connection is gone, and every membership with it.
    pub(crate) fn disconnected(&mut self) {
        self.0.clear();
    }
}
