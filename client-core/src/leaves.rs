//! Leaves that the server hasn't carried out yet. The room is forgotten here at once, so they are written as soon as the rate
//! allows, and again where the server refuses for now: or it would go on sending events that nobody wants.

use osbackend_protocol::RoomName;

#[derive(Debug, PartialEq)]
enum Step {
    /// To be written.
    Next,
    /// Written, with this id.
    Asked(u64),
}

/// The leaves of this connection, in the order of the calls.
#[derive(Debug, Default)]
pub(crate) struct Leaves(Vec<(RoomName, Step)>);

impl Leaves {
    /// The room is to be left.
    pub(crate) fn add(&mut self, room: RoomName) {
        self.0.push((room, Step::Next));
    }

    /// The room that is left next.
    pub(crate) fn next(&self) -> Option<&RoomName> {
        self.0.iter().find(|(_, step)| *step == Step::Next).map(|(room, _)| room)
    }

    /// The next one is written, with this id.
    pub(crate) fn asked(&mut self, id: u64) {
        if let Some((_, step)) = self.0.iter_mut().find(|(_, step)| *step == Step::Next) {
            *step = Step::Asked(id);
        }
    }

    /// It was answered, with success or for good. True where it was one.
    pub(crate) fn settle(&mut self, id: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, step)| *step != Step::Asked(id));
        self.0.len() < before
    }

    /// It was refused for now. False where there is no such leave.
    pub(crate) fn again(&mut self, id: u64) -> bool {
        let asked = self.0.iter_mut().find(|(_, step)| *step == Step::Asked(id));
        asked.map(|(_, step)| *step = Step::Next).is_some()
    }

    /// The application is back in the room: leaving it after that would undo it. True where it was about to be left: the server
    /// may still think of us as a member.
    pub(crate) fn cancel(&mut self, room: &RoomName) -> bool {
        let before = self.0.len();
        self.0.retain(|(other, _)| other != room);
        self.0.len() < before
    }

    /// The connection is gone, and every membership with it.
    pub(crate) fn disconnected(&mut self) {
        self.0.clear();
    }
}
