//! What is done to the world, and what the world does for its parts: acts of the plan, wishes of the machines, faults.

use crate::{
    app::{Seen, Todo},
    network::{Link, ToClient, ToServer},
    node::Step,
    schedule::{Act, Ask, Kind, ROOMS},
    world::{Happening, Mutant, World, note},
};
use osbackend_client_core::{ConnectionState, Input};
use osbackend_protocol::{Classified, DeliveryClass, Identity, JsonObject, RoomName};
use osbackend_server::{
    auth::{AuthError, Verified},
    session::Refusal,
};
use std::collections::VecDeque;

fn room_name(room: &str) -> RoomName {
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
            Act::Leave { client, room } if self.apps[client].own_room() == ROOMS[room] => {}
            Act::Leave { client, room } => {
                self.apps[client].judge.left(ROOMS[room]);
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
            Act::Refresh { client } => {
                let token = self.good_token(client);
                self.input(client, Input::Token(Ok(Some(token))));
            }
            Act::Crash { down_ms } => self.server_down(down_ms),
            Act::Drain { window_ms, down_ms } => {
                if !self.up || self.draining {
                    return;
                }
                self.draining = true;
                let now = self.now;
                let links: Vec<u64> = self.nodes.keys().copied().collect();
                for id in links {
                    let slot = self.dice.below(window_ms);
                    if let Some(node) = self.nodes.get_mut(&id) {
                        node.connection.on_drain(slot, now);
                    }
                }
                self.pump_all();
                self.after(window_ms, Happening::ServerDown(down_ms));
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    pub(crate) fn publish(&mut self, room: usize, count: u64, kind: Kind) {
        for _ in 0..count {
            if !self.up {
                return;
            }
            let number = self.number();
            let padding = "x".repeat(self.settings.padding);
            let data = format!("{{\"n\":{number},\"padding\":\"{padding}\"}}");
            let data = JsonObject::parse(&data).expect("an object");
            let latest = match kind {
                Kind::Latest => true,
                Kind::Mixed => self.dice.chance(60),
                Kind::Reliable | Kind::Ephemeral => false,
            };
            let classified = if latest {
                Classified { class: DeliveryClass::Latest, key: Some(format!("k{}", self.dice.below(4))) }
            } else {
                Classified { class: DeliveryClass::Reliable, key: None }
            };
            let name = if latest { *self.dice.pick(&["metric", "status"]) } else { "milestone" };
            let mut event = self.shared.hub.new_event(name, data, classified);
            event.ephemeral = kind == Kind::Ephemeral;
            self.shared.hub.publish(room_name(ROOMS[room]), event, self.now, Box::new(|_| {}));
        }
        self.wake_all();
    }

    fn request(&mut self, client: usize, what: Ask) {
        let number = self.number();
        let (kind, payload) = match what {
            Ask::Publish(room) => {
                let room = ROOMS[room];
                ("publish", format!("{{\"room\":\"{room}\",\"type\":\"by_client\",\"data\":{{\"n\":{number}}}}}"))
            }
            Ask::History(room) => ("history:get", format!("{{\"room\":\"{}\"}}", ROOMS[room])),
            Ask::Presence(room) => ("presence:get", format!("{{\"room\":\"{}\"}}", ROOMS[room])),
            Ask::Unknown => ("app:nothing", "{}".to_owned()),
        };
        let app = &mut self.apps[client];
        let clock = app.clock(self.now);
        // The driver's own `request` would tell an outcome before its id is known here.
        let id = app.driver.machine.request(kind, Some(payload), None, clock);
        app.judge.requests.insert(id);
        if kind == "publish" {
            app.publishing.insert(id, number);
        }
        app.driver.drain();
        note!(self, "client {client}: request {id} {kind}");
        self.settle(client);
    }

    /// Does what the machine asked for, and judges what the application was told.
    pub(crate) fn settle(&mut self, client: usize) {
        loop {
            let notes = std::mem::take(&mut self.apps[client].driver.host);
            if notes.seen.is_empty() && notes.todo.is_empty() {
                break;
            }
            for seen in notes.seen {
                self.seen(client, seen);
            }
            for todo in notes.todo {
                self.perform(client, todo);
            }
        }
        let app = &self.apps[client];
        let state = app.driver.machine.state();
        let waits = app.driver.next_deadline().is_some();
        if !waits && !matches!(state, ConnectionState::Closed { .. } | ConnectionState::Idle) {
            self.fail(format!("client {client} is stuck: it waits for nothing in {state:?}"));
        }
    }

    fn seen(&mut self, client: usize, seen: Seen) {
        match seen {
            Seen::Event(event) => {
                let lucky = event.offset.is_some() && self.mutant != Mutant::None && self.dice.chance(2);
                if lucky && self.mutant == Mutant::EventLost {
                    return;
                }
                self.judge_event(client, &event);
                if lucky && self.mutant == Mutant::EventTwice {
                    self.judge_event(client, &event);
                }
            }
            Seen::State(state) => {
                note!(self, "client {client}: {state:?}");
                self.apps[client].judge.state(&state);
                self.state(client, &state);
            }
            Seen::Room(room) => {
                note!(self, "client {client}: {room:?}");
                let verdict = self.apps[client].judge.room(&room, &self.book.read());
                if let Err(what) = verdict {
                    self.fail(format!("client {client}: {what}"));
                }
            }
            Seen::Reply(id, outcome) => {
                if self.mutant == Mutant::AnswerLost {
                    return;
                }
                if !self.apps[client].judge.requests.remove(&id) {
                    self.fail(format!("client {client}: request {id} had a second outcome: {outcome:?}"));
                }
                let number = self.apps[client].publishing.remove(&id);
                if let (Some(number), Ok(answer)) = (number, outcome) {
                    self.judge_published(client, number, &answer);
                }
            }
            Seen::Refused(payload) => {
                let sends = &mut self.apps[client].sends;
                let before = sends.len();
                sends.retain(|_, send| *send != payload);
                if sends.len() == before {
                    self.fail(format!("client {client}: send {payload} was refused after it was written or refused"));
                }
            }
        }
    }

    /// `published` names the event that this request made.
    fn judge_published(&mut self, client: usize, number: u64, answer: &str) {
        let answer: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        let (place, offset) = ((text("room"), text("epoch")), answer["offset"].as_u64().unwrap_or_default());
        let right = {
            let truth = self.book.read();
            let fact = truth.rooms.get(&place).and_then(|history| history.fact(offset));
            fact.is_some_and(|fact| fact.data == format!("{{\"n\":{number}}}") && *fact.event_id == *text("eventId"))
        };
        if !right {
            self.fail(format!("client {client}: publish {number} was answered with another event: {answer}"));
        }
    }

    fn state(&mut self, client: usize, state: &ConnectionState) {
        match state {
            ConnectionState::Connected { .. } => {
                self.apps[client].bad_token = false;
                self.tally.sessions += 1;
            }
            ConnectionState::Closed { code, reason } => {
                let app = &self.apps[client];
                let expected = code.is_none() && reason == "disconnected"
                    || *code == Some(4501) && app.bad_token
                    || reason.starts_with("gave up") && app.attempts_limited && !self.serene;
                if !expected {
                    self.fail(format!("client {client} closed for good: {code:?} {reason}"));
                }
                if self.calm {
                    self.after(1_000, Happening::Reconnect(client));
                }
            }
            _ => {}
        }
        if self.serene && !matches!(state, ConnectionState::Connected { .. }) {
            self.fail(format!("client {client} lost a healthy connection: {state:?}"));
        }
    }

    fn perform(&mut self, client: usize, todo: Todo) {
        match todo {
            Todo::Open => {
                self.next_link += 1;
                let id = self.next_link;
                let link = Link::new(client, self.settings.delay);
                let delay = link.delay(&mut self.dice);
                self.links.insert(id, link);
                self.apps[client].link = Some(id);
                // Without a network some attempts fail at once, and some never end.
                if !self.apps[client].offline || self.dice.chance(50) {
                    self.after(delay, Happening::Accept(id));
                }
            }
            Todo::Close => {
                if let Some(id) = self.apps[client].link.take() {
                    if let Some(link) = self.links.get_mut(&id) {
                        link.heard = false;
                        link.down.cut();
                    }
                    self.up(id, ToServer::Close);
                }
            }
            Todo::Write(text) => {
                note!(self, "client {client} -> {}", crate::short(&text));
                if text.contains("\"send\":") {
                    let sends = &mut self.apps[client].sends;
                    let before = sends.len();
                    sends.retain(|_, send| !text.contains(send.as_str()));
                    if sends.len() + 1 != before {
                        self.fail(format!("client {client}: {text} was written after it was written or refused"));
                    }
                }
                match self.apps[client].link {
                    Some(id) => self.up(id, ToServer::Text(text)),
                    None => self.fail(format!("client {client} wrote without a socket: {text}")),
                }
            }
            Todo::NeedToken => self.give_token(client),
        }
    }

    fn good_token(&mut self, client: usize) -> String {
        let life = if self.calm { 3_600_000 } else { self.dice.range(self.settings.token_ms.0, self.settings.token_ms.1) };
        self.token(client, self.now + life)
    }

    fn token(&self, client: usize, expires_at_ms: u64) -> String {
        let app = &self.apps[client];
        let role = if app.admin { "admin" } else { "user" };
        format!("{}.{role}.{expires_at_ms}", app.user)
    }

    fn give_token(&mut self, client: usize) {
        let delay = self.dice.below(300);
        let bad = !self.calm && self.dice.chance(self.settings.bad_tokens);
        let answer = match if bad { self.dice.below(4) } else { 9 } {
            // The provider never answers.
            0 => return,
            1 => Err("the provider is down".to_owned()),
            2 => {
                self.apps[client].bad_token = true;
                Ok(Some(self.token(client, self.now - 1)))
            }
            _ => Ok(Some(self.good_token(client))),
        };
        self.after(delay, Happening::Token(client, answer));
    }

    fn verify(&mut self, token: &str) -> Result<Verified, Refusal> {
        if !self.calm && self.dice.chance(2) {
            return Err(AuthError::Unavailable.into());
        }
        let parts: Vec<&str> = token.split('.').collect();
        let expires_at_ms = parts[2].parse().expect("made by the simulation");
        if expires_at_ms <= self.now {
            return Err(AuthError::Expired.into());
        }
        Ok(Verified { identity: Identity::new(parts[0], Some(parts[1])), expires_at_ms })
    }

    /// Wakes every connection's task; some have their turn only later, and are sent more or hear something before it.
    fn wake_all(&mut self) {
        let links: Vec<u64> = self.nodes.keys().copied().collect();
        for id in links {
            if self.dice.chance(self.settings.busy) {
                let until = self.now + self.dice.below(400);
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.asleep_until = until;
                }
                self.at(until, Happening::Unstall(id));
            } else {
                self.pump(id);
            }
        }
    }

    /// Lets every connection go on: a publish or a departure touches others than the one it came from.
    pub(crate) fn pump_all(&mut self) {
        let links: Vec<u64> = self.nodes.keys().copied().collect();
        for id in links {
            self.pump(id);
        }
    }

    pub(crate) fn pump(&mut self, id: u64) {
        let now = self.now;
        let mut steps = VecDeque::new();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.step(now, &mut steps);
        let stalled_until = node.stalled_until;
        for step in steps {
            let Some(link) = self.links.get(&id) else { return };
            let delay = link.delay(&mut self.dice);
            match step {
                Step::Verify(token) => {
                    let result = self.verify(&token);
                    let ms = self.dice.below(if self.calm { 100 } else { self.settings.verify_ms });
                    self.after(ms, Happening::Verified(id, result));
                }
                Step::Text(text) => self.down(id, ToClient::Text(text), delay),
                Step::Ping => self.down(id, ToClient::Ping, delay),
                Step::Close(code, late) => {
                    note!(self, "server closes link {id}: {code:?}");
                    // A close frame that can't be written in time is not seen.
                    if late && stalled_until > now + 2_000 {
                        self.client_learns(id, 2_000 + delay);
                    } else {
                        let delay = if late { delay.max(stalled_until - now) } else { delay };
                        self.down(id, ToClient::Closed(code.code(), code.reason().to_owned()), delay);
                    }
                    let ms = self.dice.below(2_000);
                    self.after(ms, Happening::ServerLearns(id));
                }
                Step::Gone => self.server_gone(id),
            }
        }
    }

    pub(crate) fn server_gone(&mut self, id: u64) {
        let now = self.now;
        if let Some(mut node) = self.nodes.remove(&id) {
            note!(self, "server forgets link {id}");
            node.connection.on_gone(now);
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.up.cut();
        }
    }

    /// The client hears that the socket broke.
    fn client_learns(&mut self, id: u64, ms: u64) {
        if let Some(link) = self.links.get_mut(&id) {
            link.down = crate::network::Pipe::new();
        }
        self.down(id, ToClient::Closed(1006, String::new()), ms);
    }

    /// The process ends without a word; some machines' kernels at least reset the sockets.
    pub(crate) fn server_down(&mut self, down_ms: u64) {
        if !self.up {
            return;
        }
        self.up = false;
        let links: Vec<u64> = std::mem::take(&mut self.nodes).into_keys().collect();
        let told = self.dice.chance(70);
        for id in links {
            if let Some(link) = self.links.get_mut(&id) {
                link.cut();
            }
            if told {
                let ms = self.dice.below(300);
                self.client_learns(id, ms);
            }
        }
        self.after(down_ms, Happening::ServerUp);
    }

    pub(crate) fn server_up(&mut self) {
        self.new_process();
        self.up = true;
        self.draining = false;
        note!(self, "server is up again as process {}", self.processes);
    }

    /// What a mutant makes of a frame.
    pub(crate) fn tampered(&mut self, text: String) -> Option<String> {
        match self.mutant {
            Mutant::LyingServer => Some(text.replace("\"recovered\":false", "\"recovered\":true")),
            Mutant::ReliableSkipped => {
                let Some(room) = room_of_live_event(&text) else { return Some(text) };
                if self.swallowed.as_deref() == Some(room) {
                    self.swallowed = None;
                    return Some(format!("{},\"skipped\":1}}", text.strip_suffix('}').unwrap_or(&text)));
                }
                if text.starts_with("{\"type\":\"milestone\"") && self.swallowed.is_none() && self.dice.chance(30) {
                    self.swallowed = Some(room.to_owned());
                    return None;
                }
                Some(text)
            }
            _ => Some(text),
        }
    }
}

/// The room, when the frame is a single event that is neither of a snapshot nor after a gap.
fn room_of_live_event(text: &str) -> Option<&str> {
    let plain = text.starts_with("{\"type\":\"m") && !text.contains("\"snapshot\"") && !text.contains("\"skipped\"");
    let (_, rest) = text.split_once("\"room\":\"").filter(|_| plain && text.contains("\"offset\""))?;
    Some(rest.split_once('"')?.0)
}
