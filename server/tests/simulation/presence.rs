//! Who an application believes to be in its rooms, by docs/PROTOCOL.md alone, and what the server's sessions say.

use crate::{
    app::{App, Seen},
    world::World,
};
use std::collections::{BTreeMap, BTreeSet};

/// What an application knows of a room that it asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Picture {
    Users(BTreeSet<String>),
    /// How many there were when the server told; nothing is told of who comes and goes since.
    Counts(u64),
}

/// The pictures of one application.
#[derive(Default)]
pub(crate) struct Watch {
    pictures: BTreeMap<String, Picture>,
    /// Requests under way, each with its room.
    pub(crate) asked: BTreeMap<u64, String>,
    /// Rooms to ask about once the machine has come to rest.
    pub(crate) to_ask: Vec<String>,
}

impl Watch {
    /// A membership began or ended: what was known counts no more, nor does an answer that is still under way.
    pub(crate) fn forget(&mut self, room: &str) {
        self.pictures.remove(room);
        self.asked.retain(|_, asked| asked != room);
    }

    /// The connection is lost.
    pub(crate) fn forget_all(&mut self) {
        self.pictures.clear();
        self.asked.clear();
    }

    /// An answer to a request.
    pub(crate) fn answered(&mut self, id: u64, answer: &str) {
        if self.asked.remove(&id).is_some() {
            self.draw(&serde_json::from_str(answer).unwrap_or_default());
        }
    }

    fn draw(&mut self, presence: &serde_json::Value) {
        let users = presence["users"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let users = users.filter_map(|user| Some(user["userId"].as_str()?.to_owned())).collect();
        let counts = presence["counts"]["users"].as_u64();
        let room = presence["room"].as_str().unwrap_or_default().to_owned();
        self.pictures.insert(room, counts.map_or(Picture::Users(users), Picture::Counts));
    }

    /// A message of the system.
    pub(crate) fn told(&mut self, kind: &str, data: &str) {
        if !kind.starts_with("presence") {
            return;
        }
        let data: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
        let room = data["room"].as_str().unwrap_or_default();
        let user = data["userId"].as_str().unwrap_or_default().to_owned();
        match (kind, self.pictures.get_mut(room)) {
            // One that was on its way when the room was left is nobody's any more.
            ("presence", Some(_)) => self.draw(&data),
            ("presence_join", Some(Picture::Users(users))) => {
                users.insert(user);
            }
            ("presence_leave", Some(Picture::Users(users))) => {
                users.remove(&user);
            }
            _ => {}
        }
    }
}

impl App {
    /// Hears of something that may be about presence.
    pub(crate) fn watch(&mut self, seen: &Seen) {
        use osbackend_client_core::{ConnectionState, RoomStatus};
        match seen {
            Seen::Room(room) => {
                self.watch.forget(&room.room);
                if room.status == RoomStatus::Joined {
                    self.watch.to_ask.push(room.room.clone());
                }
            }
            Seen::State(state) if !matches!(state, ConnectionState::Connected { .. }) => self.watch.forget_all(),
            Seen::Reply(id, Ok(answer)) => self.watch.answered(*id, answer),
            Seen::System(kind, data) => self.watch.told(kind, data),
            _ => {}
        }
    }
}

impl World {
    /// Asks about rooms that were joined, as often as the seed's applications do.
    pub(crate) fn ask_presence(&mut self, client: usize) {
        for room in std::mem::take(&mut self.apps[client].watch.to_ask) {
            if self.dice.chance(self.settings.watches) {
                let id = self.begin(client, "presence:get", format!("{{\"room\":\"{room}\"}}"));
                self.apps[client].watch.asked.insert(id, room);
            }
        }
        self.apps[client].driver.drain();
        self.settle(client);
    }

    /// Once all is quiet: what the applications believe, what the hub says, and what is true.
    pub(crate) fn presence_at_rest(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut truth: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in self.nodes.values() {
            let session = node.connection.session();
            for room in session.rooms() {
                // Who has no user is counted elsewhere.
                truth.entry(room.to_string()).or_default().extend(session.identity().map(|identity| identity.sub.clone()));
            }
        }
        let nobody = BTreeSet::new();
        for status in self.shared.hub.rooms() {
            let presence = self.shared.hub.presence(&status.room);
            let listed: BTreeSet<_> = presence.users.into_iter().map(|user| user.user_id).collect();
            let present = truth.get(status.room.as_str()).unwrap_or(&nobody);
            let right = presence.counts.map_or(listed == *present, |counts| counts.users == present.len() as u64);
            if !right {
                faults.push(format!("{} lists {listed:?} {:?}, and {present:?} are in it", status.room, presence.counts));
            }
        }
        let (_, limit) = self.settings.presence;
        for (number, app) in self.apps.iter().enumerate() {
            for (room, picture) in &app.watch.pictures {
                let present = truth.get(room).unwrap_or(&nobody);
                let right = match picture {
                    Picture::Users(users) => users == present,
                    Picture::Counts(_) => present.len() > limit - limit / 4,
                };
                if !right {
                    faults.push(format!("client {number} believes {picture:?} to be in {room}, and it is {present:?}"));
                }
                self.tally.pictures += 1;
            }
        }
        faults
    }
}
