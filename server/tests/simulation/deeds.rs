//! What the plan does to the world: acts of applications, publishers and misfortune.

use crate::{
    process::SLOW_MESSAGE,
    schedule::{Act, Ask, Kind, ROOMS},
    world::{Happening, World, note},
};
use osbackend_client_core::{Input, Publish};
use osbackend_protocol::{Classified, DeliveryClass, JsonObject, RoomName};
use osbackend_server::hub::event::NewEvent;

pub(crate) fn room_name(room: &str) -> RoomName {
    RoomName::parse(room).expect("the simulation's rooms have good names")
}

impl World {
    pub(crate) fn act(&mut self, act: Act) {
        note!(self, "* {act:?}");
        match act {
            Act::Publish { room, count, kind } => self.publish(room, count, kind),
            Act::Join { client, room, snapshot } => {
                let wanted = &mut self.apps[client].judge.wanted;
                // A second join doesn't change the first.
                wanted.entry(ROOMS[room].to_owned()).or_insert(snapshot);
                let snapshot = wanted[ROOMS[room]];
                self.apps[client].judge.wanted(ROOMS[room], snapshot);
                self.input(client, Input::Join { room: room_name(ROOMS[room]), snapshot });
            }
            // Its own room isn't the application's to leave: the server joins it again at the next greeting.
            Act::Leave { client, room } if self.apps[client].own_room().as_deref() == Some(ROOMS[room]) => {}
            Act::Leave { client, room } => {
                self.apps[client].judge.left(ROOMS[room]);
                self.apps[client].watch.forget(ROOMS[room]);
                self.input(client, Input::Leave { room: room_name(ROOMS[room]) });
            }
            Act::Request { client, what } => self.request(client, what),
            Act::Send { client, count } => {
                for _ in 0..count {
                    let number = self.number();
                    let payload = format!("{{\"send\":{number}}}");
                    self.apps[client].sends.insert(number, payload.clone());
                    self.input(client, Input::Send { kind: "app:note".to_owned(), payload: Some(payload) });
                }
            }
            Act::Connect { client } => self.input(client, Input::Connect),
            Act::Disconnect { client } => self.input(client, Input::Disconnect),
            Act::Cut { client, client_learns, server_learns, spare } => {
                let Some(id) = self.apps[client].link else { return };
                let Some(link) = self.links.get_mut(&id) else { return };
                if spare {
                    link.up.end();
                    link.down.cut();
                } else {
                    link.cut();
                }
                if let Some(ms) = client_learns {
                    self.client_learns(id, ms);
                }
                if let Some(ms) = server_learns {
                    self.after(ms, Happening::ServerLearns(id));
                }
            }
            Act::Stall { client, ms } => {
                let Some(id) = self.apps[client].link else { return };
                let until = self.now + ms;
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.stalled_until = node.stalled_until.max(until);
                    self.at(until, Happening::Unstall(id));
                }
            }
            Act::Lag { client, ms, way } => {
                let until = self.now + ms;
                if let Some(link) = self.apps[client].link.and_then(|id| self.links.get_mut(&id)) {
                    link.lag(until, way);
                }
            }
            Act::Hide { client } => self.apps[client].hidden = true,
            Act::Show { client } => {
                self.apps[client].hidden = false;
                self.input(client, Input::Visible);
            }
            Act::Offline { client } => {
                self.apps[client].offline = true;
                if let Some(link) = self.apps[client].link.and_then(|id| self.links.get_mut(&id)) {
                    link.cut();
                }
            }
            Act::Online { client } => {
                self.apps[client].offline = false;
                self.input(client, Input::Online);
            }
            Act::Refresh { client } if self.apps[client].anonymous => {}
            Act::Refresh { client } => {
                let token = self.good_token(client);
                self.input(client, Input::Token(Ok(Some(token))));
            }
            Act::PublishAndCut { client, room, count } => {
                for _ in 0..count {
                    self.request(client, Ask::Publish(room));
                }
                self.act(Act::Cut { client, client_learns: Some(50), server_learns: None, spare: true });
            }
            Act::Steal { client, by } => self.steal(client, by),
            Act::Takeover { client } => self.take_over(client),
            Act::Demote { client } => {
                self.apps[client].demoted |= self.apps[client].admin;
                self.apps[client].admin = false;
                self.act(Act::Refresh { client });
            }
            Act::Crash { down_ms } => self.server_down(down_ms),
            Act::PowerLoss { down_ms } => self.power_fails(down_ms),
            Act::DiskFull { ms } => self.disk_full_until = self.disk_full_until.max(self.now + ms),
            Act::Order { room, kind } => self.order(room, kind),
            Act::OrderAndCrash { room, count, exactly, after_ms, down_ms } => {
                (0..count).for_each(|_| self.order(room, Kind::Reliable));
                if exactly && self.writer.is_some() {
                    self.ends_at_commit = Some(down_ms);
                } else {
                    self.after(after_ms, Happening::ServerDown(down_ms));
                }
            }
            Act::Drain { window_ms, down_ms } => {
                if !self.up || self.draining {
                    return;
                }
                self.draining = true;
                self.drain(window_ms);
                self.after(window_ms, Happening::ServerDown(down_ms));
            }
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    pub(crate) fn publish(&mut self, room: usize, count: u64, kind: Kind) {
        let mut pending = Vec::new(); // Published together or one by one: members must not see a difference.
        for _ in 0..count {
            if !self.up {
                return;
            }
            let number = self.number();
            let event = self.event(number, kind);
            let (room, now_ms) = (room_name(ROOMS[room]), self.now);
            pending.push(osbackend_server::engine::Pending { room, event, now_ms, place: None, done: Box::new(|_| {}) });
        }
        let parts = if self.dice.chance(50) { vec![pending] } else { pending.into_iter().map(|one| vec![one]).collect() };
        parts.into_iter().for_each(|part| self.shared.hub.publish_all(part));
        self.wake_all();
    }

    /// A new event with this number in it.
    pub(crate) fn event(&mut self, number: u64, kind: Kind) -> NewEvent {
        let padding = "x".repeat(self.settings.padding);
        let data = JsonObject::parse(&format!("{{\"n\":{number},\"padding\":\"{padding}\"}}")).expect("an object");
        let latest = match kind {
            Kind::Latest => true,
            Kind::Mixed => self.dice.chance(60),
            Kind::Reliable | Kind::Ephemeral => false,
        };
        let classified = if latest {
            Classified { class: DeliveryClass::Latest, key: Some(format!("k{}", self.dice.below(4))) }
        } else {
            osbackend_server::hub::reliable()
        };
        let name = if latest { *self.dice.pick(&["metric", "status"]) } else { "milestone" };
        let mut event = self.shared.hub.new_event(name, data, classified);
        event.ephemeral = kind == Kind::Ephemeral;
        event
    }

    pub(crate) fn request(&mut self, client: usize, what: Ask) {
        let number = self.number();
        let (kind, payload) = match what {
            Ask::Publish(room) => ("publish", ROOMS[room].to_owned()),
            Ask::History(room) => ("history:get", format!("{{\"room\":\"{}\"}}", ROOMS[room])),
            Ask::Presence(room) => ("presence:get", format!("{{\"room\":\"{}\"}}", ROOMS[room])),
            Ask::Slow => (SLOW_MESSAGE, format!("{{\"n\":{number}}}")),
            Ask::Unknown => ("app:nothing", "{}".to_owned()),
        };
        match what {
            Ask::Publish(_) => self.begin_publish(client, payload, number),
            Ask::Slow => {
                let id = self.begin(client, kind, payload.clone());
                self.apps[client].handling.insert(id, payload);
            }
            _ => {
                self.begin(client, kind, payload);
            }
        }
        self.apps[client].driver.drain();
        self.settle(client);
    }

    /// Makes a request and gives its id, by which its outcome will be told; [`Self::settle`] is for the caller.
    pub(crate) fn begin(&mut self, client: usize, kind: &str, payload: String) -> u64 {
        let app = &mut self.apps[client];
        let clock = app.clock(self.now);
        // The driver's own `request` would tell an outcome before its id is known here.
        let id = app.driver.machine.request(kind, Some(payload), None, clock);
        app.judge.requests.insert(id);
        note!(self, "client {client}: request {id} {kind}");
        id
    }

    /// As [`Self::begin`], for event `number` of the client's own.
    fn begin_publish(&mut self, client: usize, room: String, number: u64) {
        let app = &mut self.apps[client];
        let clock = app.clock(self.now);
        let data = Some(crate::oracle::by_client(number, client));
        let event = Publish { room, kind: "by_client".to_owned(), data, ..Publish::default() };
        let id = app.driver.machine.publish(&event, clock);
        app.judge.requests.insert(id);
        app.publishing.insert(id, number);
        note!(self, "client {client}: request {id} publish");
    }
}
