//! What has to be true once the faults are over: all are live, all have everything, nothing is left behind.

use crate::world::World;
use osbackend_client_core::ConnectionState;
use std::collections::BTreeSet;

impl World {
    pub(crate) fn expect_all_connected(&mut self) {
        for client in 0..self.apps.len() {
            let state = self.apps[client].driver.machine.state();
            if !matches!(state, ConnectionState::Connected { .. }) {
                self.fail(format!("client {client} is not live again: {state:?}"));
            }
        }
    }

    pub(crate) fn expect_rest(&mut self) {
        if self.verdict.is_err() {
            return;
        }
        self.expect_all_connected();
        let current: Vec<_> = self.shared.hub.rooms().into_iter().map(|room| (room.room.to_string(), room.epoch)).collect();
        let mut faults = Vec::new();
        let truth = self.book.read();
        for (number, app) in self.apps.iter().enumerate() {
            let rooms = app.driver.machine.rooms();
            if let Err(fault) = app.judge.at_rest(&rooms, app.own_room().as_deref(), app.admin, app.anonymous, &truth, &current) {
                faults.push(format!("client {number}: {fault}"));
            }
            if let Some(send) = app.sends.keys().next() {
                faults.push(format!("client {number}: send {send} was neither written nor refused"));
            }
            let joined = app.driver.machine.rooms().into_iter().filter(|room| room.error.is_none()).map(|room| room.room);
            let joined: BTreeSet<_> = joined.collect();
            let node = app.link.and_then(|link| self.nodes.get(&link));
            let held: BTreeSet<_> =
                node.into_iter().flat_map(|node| node.connection.session().rooms()).map(ToString::to_string).collect();
            if joined != held {
                faults.push(format!("client {number} is in {joined:?}, and the server thinks in {held:?}"));
            }
        }
        drop(truth);
        faults.extend(self.streams_at_rest());
        faults.extend(self.orders_at_rest());
        if self.nodes.len() != self.apps.len() || self.shared.hub.registry.counts().total != self.apps.len() {
            faults.push(format!("{} connections are left for {} clients", self.nodes.len(), self.apps.len()));
        }
        for status in self.shared.hub.rooms() {
            let held = self.nodes.values().filter(|node| node.connection.session().rooms().any(|room| *room == status.room));
            let held = held.count();
            if held != status.client_count {
                faults.push(format!("{} has {} members, and {held} sessions know of it", status.room, status.client_count));
            }
        }
        faults.extend(self.presence_at_rest());
        if let Some(fault) = faults.into_iter().next() {
            self.fail(fault);
        }
    }
}
