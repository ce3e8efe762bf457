//! Sessions that are taken over, stolen or sent away: resume tokens (§3), and the slots of a drain (§4).

use crate::{
    mutant::Mutant,
    schedule::Thief,
    world::{World, note},
};
use osbackend_client_core::ConnectionState;
use osbackend_protocol::Identity;
use osbackend_server::{
    auth::Verified,
    connection::{Connection, Work},
    hub::{outbox::Item, registry::drain_slots},
    session::{Mode, Verdict},
};

/// What stands between these two in a text.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

impl World {
    /// What is told to a client beside the machine: its resume token, its slot.
    pub(crate) fn overhear(&mut self, client: usize, link: u64, text: &str) {
        if let Some(token) = between(text, "\"resume\":{\"token\":\"", "\"")
            && let Some(id) = between(text, "\"clientId\":\"", "\"")
        {
            self.apps[client].grant = Some((id.to_owned(), token.to_owned()));
        }
        if text.contains("\"type\":\"draining\"") {
            self.apps[client].slot_at = self.slots.get(&link).copied();
        }
    }

    /// A client keeps its id whatever happens, and a drain's slot is kept to.
    pub(crate) fn judge_session(&mut self, client: usize, state: &ConnectionState) {
        let now = self.now;
        let app = &mut self.apps[client];
        let slot_at = app.slot_at.take();
        match state {
            ConnectionState::Connected { client_id, .. } => {
                let before = app.client_id.replace(client_id.clone());
                if let Some(before) = before.filter(|before| before != client_id) {
                    self.fail(format!("client {client} lost its id {before} and is {client_id}"));
                }
            }
            // Another user may connect next.
            ConnectionState::Closed { .. } => app.client_id = None,
            ConnectionState::Reconnecting { code: Some(1012), .. } => {
                let Some(slot_at) = slot_at else { return };
                self.tally.drained += 1;
                if now < slot_at {
                    self.fail(format!("client {client} had to go {} ms before its slot", slot_at - now));
                }
            }
            _ => {}
        }
    }

    /// Tells everyone when to go.
    pub(crate) fn drain(&mut self, window_ms: u64) {
        let now = self.now;
        let links: Vec<u64> = self.nodes.keys().copied().collect();
        let mut slots: Vec<u64> = drain_slots(links.len(), window_ms).collect();
        if self.mutant == Mutant::OneSlot {
            slots.fill(window_ms / 2);
        }
        for (id, slot) in links.into_iter().zip(&slots) {
            self.slots.insert(id, now + slot);
            if let Some(node) = self.nodes.get_mut(&id) {
                node.connection.on_drain(*slot, now);
            }
        }
        if self.mutant == Mutant::SlotIgnored {
            self.nodes.values_mut().for_each(|node| node.connection.on_timer(now + window_ms));
        }
        self.pump_all();
        let share = window_ms / (slots.len() as u64).max(1);
        if let Some(pair) = slots.windows(2).find(|pair| pair[1] < pair[0] + share) {
            self.fail(format!("two clients come back at once: slots {pair:?} of {window_ms} ms for {}", slots.len()));
        }
    }

    /// A socket that is nobody's in the simulation says `connect`; what it was answered, and it.
    fn stranger(&mut self, user: Option<&str>, id: &str, token: &str) -> (Connection, String) {
        let now = self.now;
        let bearer = if user.is_some() { "\"token\":\"its.own.token\"," } else { "" };
        let connect = format!(
            "{{\"type\":\"connect\",\"payload\":{{\"protocol\":1,{bearer}\"resume\":{{\"clientId\":\"{id}\",\"token\":\"{token}\"}}}}}}"
        );
        let mut connection = Connection::new(self.shared.clone(), Mode::V1, Ok(None), now);
        connection.on_text(&connect, now);
        while let Some(work) = connection.poll_work() {
            match work {
                Work::Verify(_) => {
                    let identity = Identity::new(user.unwrap_or_default(), Some("user"));
                    connection.on_verified(Ok(Verified { identity, expires_at_ms: now + 3_600_000, info: None }), now);
                }
                Work::Ask { ticket, .. } => connection.on_answer(ticket, Verdict::Allow, now),
                Work::Claim => connection.on_claimed(Ok(()), now),
                Work::Custom(_) | Work::Metrics { .. } => unreachable!("it sends no such message"),
            }
        }
        let mut said = String::new();
        for item in connection.outbox().take().items {
            if let Item::Text(text) = item {
                said.push_str(&text);
            }
        }
        (connection, said)
    }

    /// Somebody comes with the client's resume token, to whom it was not given.
    pub(crate) fn steal(&mut self, client: usize, by: Thief) {
        let Some((id, token)) = self.apps[client].grant.clone().filter(|_| self.up && !self.draining) else { return };
        let owner = (!self.apps[client].anonymous).then(|| self.apps[client].user.clone());
        let foreign = self.mutant != Mutant::ForeignResume;
        let (user, id, token) = match by {
            Thief::User if foreign => (Some("eve".to_owned()), id, token),
            Thief::Anonymous if foreign && owner.is_some() => (None, id, token),
            Thief::Forger => {
                let middle = token.len() / 2;
                let changed = if token[middle..].starts_with('A') { "B" } else { "A" };
                (owner, id, format!("{}{changed}{}", &token[..middle], &token[middle + 1..]))
            }
            Thief::Impostor => (owner, format!("{id}-too"), token),
            _ => (owner, id, token),
        };
        if by == Thief::Anonymous && user.is_none() && self.apps[client].anonymous {
            return;
        }
        let (mut connection, said) = self.stranger(user.as_deref(), &id, &token);
        note!(self, "{by:?} of client {client}'s token: {}", crate::short(&said));
        let taken = **connection.session().client_id() == *id || said.contains("\"type\":\"reconnected\"");
        self.tally.thefts += 1;
        connection.on_gone(self.now);
        if taken {
            self.fail(format!("{by:?} took over client {client}: {}", crate::short(&said)));
        }
        self.pump_all();
    }

    /// The client's own user comes by another socket: that one wins, and the client's own is closed.
    pub(crate) fn take_over(&mut self, client: usize) {
        let Some((id, token)) = self.apps[client].grant.clone().filter(|_| self.up && !self.draining) else { return };
        let owner = (!self.apps[client].anonymous).then(|| self.apps[client].user.clone());
        let (mut connection, said) = self.stranger(owner.as_deref(), &id, &token);
        note!(self, "client {client} is taken over: {}", crate::short(&said));
        self.tally.taken_over += 1;
        if !said.contains("\"type\":\"reconnected\"") || **connection.session().client_id() != *id {
            self.fail(format!("client {client} lost its id {id}: its token resumes nothing: {}", crate::short(&said)));
        }
        // The client's own socket, if it was greeted: one that waits yet will be the newer one.
        let app = &self.apps[client];
        let live = matches!(app.driver.machine.state(), ConnectionState::Connected { .. });
        let own = app.link.filter(|_| live).and_then(|link| self.nodes.get(&link)).filter(|node| !node.over);
        if own.is_some_and(|node| **node.connection.session().client_id() == *id && node.connection.outbox().ending().is_none()) {
            self.fail(format!("client {client} has two live sockets with one id, and the older one stays"));
        }
        connection.on_gone(self.now);
        self.pump_all();
    }
}
