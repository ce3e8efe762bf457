//! How a connection ends: decided first, and then its socket is gone.

use super::Connection;
use crate::{config::HookEvent, hooks::Topic, hub::presence::Departure};
use osbackend_protocol::{CloseCode, Reconnect};

impl Connection {
    /// The client closed with 4000 (`goodbye`): its user is gone from presence at once (§5).
    pub fn on_goodbye(&mut self) {
        self.said_goodbye = true;
    }

    /// The end is decided ([`Outbox::ending`](crate::hub::outbox::Outbox::ending)), by the session or by others: nothing more is taken from the client, it is in no
    /// room and counts no more. What the outbox still holds is to be written.
    pub fn on_ending(&mut self, now: u64) {
        if std::mem::replace(&mut self.ending, true) {
            return;
        }
        self.flush();
        self.session.on_closed();
        // Who is told not to reconnect, or says goodbye, is not missed.
        let how = match self.handle.outbox.ending() {
            _ if self.said_goodbye => Departure::Left,
            Some(code) if CloseCode::reconnect(code.code()) == Reconnect::No => Departure::Left,
            _ => Departure::Lost,
        };
        // In an order that is the same in every run: others are told of it.
        let mut rooms: Vec<_> = self.session.rooms().collect();
        rooms.sort_unstable();
        for room in rooms {
            self.shared.hub.leave(self.handle.id, room, how, now);
        }
        let user = self.person.as_ref().map(|person| &person.user);
        self.shared.hub.registry.retire(self.handle.id, self.named.as_ref(), user, now);
    }

    /// The socket is gone.
    pub fn on_gone(&mut self, now: u64) {
        self.flush();
        self.on_ending(now);
        self.handle.outbox.abandon();
        self.shared.hub.registry.remove(self.handle.id);
        // Who sees it gone finds all else that it came to.
        self.shared.meters.disconnected(self.mode);
        if let Some(hooks) = &self.shared.hooks
            && hooks.takes(HookEvent::Disconnect)
            && self.session.is_introduced()
        {
            let hooks = hooks.clone();
            hooks.notify(&self.call(Topic::Disconnect));
        }
    }
}
