//! The clients' side of the world: what the machines ask for is done, what the applications are told is judged.

use crate::{
    app::{Seen, Todo},
    judge::SeenEvent,
    mutant::Mutant,
    network::{Link, ToServer},
    world::{Happening, World, note},
};
use osbackend_client_core::ConnectionState;

impl World {
    /// Does what the machine asked for, and judges what the application was told.
    pub(crate) fn settle(&mut self, client: usize) {
        loop {
            let notes = std::mem::take(&mut self.apps[client].driver.host);
            if notes.seen.is_empty() && notes.todo.is_empty() {
                break;
            }
            for seen in notes.seen {
                self.apps[client].watch(&seen);
                self.seen(client, seen);
            }
            for todo in notes.todo {
                self.perform(client, todo);
            }
        }
        if !self.apps[client].watch.to_ask.is_empty() {
            return self.ask_presence(client);
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
                let verdict = self.apps[client].judge.room(&room, &self.book.read(), self.now);
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
                let asked = self.apps[client].handling.remove(&id);
                let Ok(answer) = outcome else { return };
                if let Some(number) = number {
                    self.judge_published(client, number, &answer);
                }
                if let Some(asked) = asked {
                    self.tally.handled += 1;
                    if answer != asked {
                        self.fail(format!("client {client}: request {id} asked {asked} and was answered {answer}"));
                    }
                }
            }
            Seen::System(..) => {}
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
            fact.is_some_and(|fact| fact.data == crate::oracle::by_client(number, client) && *fact.event_id == *text("eventId"))
        };
        if !right {
            self.fail(format!("client {client}: publish {number} was answered with another event: {answer}"));
        }
    }

    fn state(&mut self, client: usize, state: &ConnectionState) {
        self.judge_session(client, state);
        match state {
            ConnectionState::Connected { .. } => {
                self.apps[client].bad_token = false;
                self.tally.sessions += 1;
            }
            ConnectionState::Closed { code, reason, .. } => {
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
                let text = match self.mutant {
                    Mutant::KeyLost => text.replace("idempotencyKey", "lostKey"),
                    Mutant::OrderLost => text.replace("\"after\"", "\"lost\""),
                    _ => text,
                };
                // The same event, whatever it must not pass this time.
                let event = text.split(",\"after\"").next().filter(|text| text.contains("\"by_client\""));
                let again = event.is_some_and(|event| !self.apps[client].written.insert(event.trim_end_matches('}').to_owned()));
                self.tally.retried += u64::from(again);
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

    pub(crate) fn good_token(&mut self, client: usize) -> String {
        let life = if self.calm {
            self.settings.calm_token_ms
        } else {
            self.dice.range(self.settings.token_ms.0, self.settings.token_ms.1)
        };
        self.token(client, self.now + life)
    }

    pub(crate) fn token(&self, client: usize, expires_at_ms: u64) -> String {
        let app = &self.apps[client];
        let role = if app.admin { "admin" } else { "user" };
        format!("{}.{role}.{expires_at_ms}", app.user)
    }

    pub(crate) fn give_token(&mut self, client: usize) {
        if self.serene && self.mutant == Mutant::ProviderSilent {
            return;
        }
        let delay = self.dice.below(300);
        if self.apps[client].anonymous {
            return self.after(delay, Happening::Token(client, Ok(None)));
        }
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

    /// Holds an event against the truth.
    pub(crate) fn judge_event(&mut self, client: usize, event: &SeenEvent) {
        let verdict = self.apps[client].judge.event(event, &self.book.read());
        if let Err(what) = verdict {
            self.fail(format!("client {client}: {what}"));
        }
    }
}
