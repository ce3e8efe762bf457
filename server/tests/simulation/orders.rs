//! Backends that publish with an idempotency key, again and again over restarts, until they are told that it is stored (§3).

use crate::{
    deeds::room_name,
    schedule::{Kind, ROOMS},
    world::{Happening, World, note},
};
use osbackend_protocol::Published;
use osbackend_server::{
    engine::{EngineError, Pending},
    hub::event::NewEvent,
};
use std::sync::{Arc, Mutex, PoisonError};

/// After this long a backend must not publish again with the same key, in milliseconds: the server may have forgotten it.
const RETRY_MS: u64 = 290_000;

type Answers = Arc<Mutex<Vec<Result<Published, EngineError>>>>;

/// Something that is to be published once.
pub(crate) struct Order {
    room: usize,
    event: NewEvent,
    begun: u64,
    attempts: u64,
    answers: Answers,
    settled: bool,
}

impl Order {
    fn stored(&self) -> Option<Published> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().find_map(|answer| answer.as_ref().ok().cloned())
    }
}

impl World {
    pub(crate) fn order(&mut self, room: usize, kind: Kind) {
        let number = self.number();
        let mut event = self.event(number, kind);
        event.idempotency_key = Some(format!("order-{number}"));
        let (begun, answers) = (self.now, Answers::default());
        self.orders.push(Order { room, event, begun, attempts: 0, answers, settled: false });
        self.look_after(self.orders.len() - 1);
    }

    /// Settles an order that was answered, or publishes it once more.
    pub(crate) fn look_after(&mut self, number: usize) {
        let order = &self.orders[number];
        if let Some(published) = order.stored() {
            return self.settle_order(number, &published);
        }
        if self.now > order.begun + RETRY_MS {
            return self.fail(format!("order {number} was never stored, though the server is well"));
        }
        if self.up {
            let id = self.shared.hub.new_id("e");
            let order = &mut self.orders[number];
            order.attempts += 1;
            let answers = order.answers.clone();
            let done = move |answer| answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
            let event = NewEvent { event_id: id, ..order.event.clone() };
            let pending =
                Pending { room: room_name(ROOMS[order.room]), event, now_ms: self.now, place: None, done: Box::new(done) };
            note!(self, "order {number}, attempt {}", self.orders[number].attempts);
            self.shared.hub.publish_all(vec![pending]);
            self.wake_all();
        }
        let ms = self.dice.range(100, 3_000);
        self.after(ms, Happening::Order(number));
    }

    fn settle_order(&mut self, number: usize, published: &Published) {
        note!(self, "order {number} is stored: {published:?}");
        let order = &mut self.orders[number];
        order.settled = true;
        self.tally.orders += 1;
        self.tally.repeated += order.attempts - 1;
        let place = (published.room.to_string(), published.epoch.clone());
        let truth = self.book.read();
        let fact = truth.rooms.get(&place).and_then(|history| history.fact(published.offset?));
        let right = fact.is_some_and(|fact| fact.data == order.event.data.get() && *fact.event_id == *published.event_id);
        drop(truth);
        if !right {
            self.fail(format!("order {number} was answered with another event: {published:?}"));
        }
    }

    /// Once all is quiet: nothing is left to be published.
    pub(crate) fn orders_at_rest(&self) -> Vec<String> {
        let open = self.orders.iter().enumerate().filter(|(_, order)| !order.settled);
        open.map(|(number, _)| format!("order {number} was never settled")).collect()
    }

    /// Once all is quiet: what the server holds is what was stored, in the epoch in which it was.
    pub(crate) fn streams_at_rest(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for status in self.shared.hub.rooms() {
            let (room, epoch) = (status.room.to_string(), status.epoch.clone());
            let truth = self.book.read();
            let none = Default::default();
            let history = truth.rooms.get(&(room.clone(), epoch.clone())).unwrap_or(&none);
            let (offset, last) = (status.offset, history.offset());
            if offset != last {
                faults.push(format!("{room} {epoch} is at {offset}, and {last} events were stored"));
            }
            if let Some(goes_on) = truth.goes_on.as_ref().filter(|goes_on| **goes_on != epoch) {
                faults.push(format!("{room} is in {epoch}, though the streams go on in {goes_on}"));
            }
            let page = self.shared.hub.history(&status.room, None, usize::MAX, false, self.now);
            let events = page.map(|page| page.events).unwrap_or_default();
            let wrong = events.iter().find(|event| {
                let fact = event.offset.and_then(|offset| history.fact(offset));
                fact.is_none_or(|fact| *fact.event_id != *event.event_id)
            });
            if let Some(event) = wrong {
                faults.push(format!("{room} {epoch} holds {:?}, which is not what was stored there", event.offset));
            }
        }
        faults
    }
}
