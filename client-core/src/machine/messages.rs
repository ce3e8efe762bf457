//! The application's messages: queued, written as far as the server's limits allow, settled once.

use super::{Input, Machine, Output};
use crate::{
    deadlines::Due,
    frames,
    pending::{Failure, Message, Settled},
    publish::{self, Attempts, Lane, Publish},
    state::Phase,
};

impl Machine {
    /// Sends a request and returns its id; its failure is an [`Output::RequestFailed`], its success comes by
    /// [`Machine::settle`]. While there is no connection it waits in the queue.
    pub fn request(&mut self, kind: &str, payload: Option<String>, timeout_ms: Option<u64>, now_ms: u64) -> u64 {
        self.ask(kind, payload, timeout_ms, None, now_ms)
    }

    /// As [`Self::request`]; with `lane` a `publish` whose payload has this room and this idempotency key, and so as
    /// [`Self::publish`].
    pub fn ask(&mut self, kind: &str, payload: Option<String>, timeout_ms: Option<u64>, lane: Option<Lane>, now_ms: u64) -> u64 {
        let id = self.allocate_id();
        self.handle(Input::Request { id, kind: kind.to_owned(), payload, timeout_ms, lane }, now_ms);
        id
    }

    /// Publishes an event; the outcome is told as that of a request, once.
    ///
    /// An event that isn't ephemeral gets an idempotency key where it has none, and is written again when the connection was
    /// lost before the answer, or when the server refuses it for now: it is stored once. Events of one room keep their order,
    /// over reconnects and refusals. After its time, or when the server may have forgotten the key, it fails: as `outcome_unknown` where
    /// it may have been stored.
    pub fn publish(&mut self, event: &Publish, now_ms: u64) -> u64 {
        let id = self.allocate_id();
        let key = if event.ephemeral { event.idempotency_key.clone() } else { Some(self.keys.key(event, id)) };
        let payload = Some(event.payload(key.as_deref()));
        let lane = key.filter(|_| !event.ephemeral).map(|key| Lane { room: event.room.clone(), key });
        let request = Input::Request { id, kind: "publish".to_owned(), payload, timeout_ms: event.timeout_ms, lane };
        self.handle(request, now_ms);
        id
    }

    /// An answer that is not an `error` arrived for `id`: to whom does it belong? Poll the outputs afterwards.
    pub fn settle(&mut self, id: u64) -> Settled {
        if !self.pending.settle(id) {
            return Settled::Nobody;
        }
        if self.pending.is_waiting() {
            // It may have made room for a publish.
            self.flush();
            self.deadlines.put(Due::Requests, self.pending.next_deadline());
            self.arm_joins();
        }
        Settled::Request
    }

    pub(super) fn take_request(
        &mut self,
        id: u64,
        kind: String,
        payload: Option<String>,
        timeout_ms: Option<u64>,
        lane: Option<Lane>,
    ) {
        self.next_id = self.next_id.max(id.saturating_add(1));
        let usual = if lane.is_some() { self.config.publish_timeout_ms } else { self.config.request_timeout_ms };
        let request = Some((id, self.now.saturating_add(timeout_ms.unwrap_or(usual))));
        self.enqueue(Message { request, kind, payload, attempts: lane.map(Attempts::new) });
    }

    pub(super) fn enqueue(&mut self, message: Message) {
        if matches!(self.phase, Phase::Closed(_)) {
            return self.refuse(message, Failure::closed());
        }
        // A live connection drains the queue in this same call, as far as the rate and the order allow.
        let writable = matches!(&self.phase, Phase::Live(live) if !live.closing);
        let room_for_this = usize::from(writable && !self.pending.is_waiting());
        for oldest in self.pending.push(message, self.config.queue_limit.max(room_for_this)) {
            self.refuse(oldest, Failure::overflow());
        }
    }

    /// A message that is not written (again).
    pub(super) fn refuse(&mut self, message: Message, failure: Failure) {
        let failure = message.given_up(failure);
        self.emit(match message.request {
            Some((id, _)) => Output::RequestFailed { id, failure },
            None => Output::SendRefused { kind: message.kind, payload: message.payload, failure },
        });
    }

    /// Writes what waits, as far as the server's rate allows.
    pub(super) fn flush(&mut self) {
        self.deadlines.clear(Due::Queue);
        let most = match &self.phase {
            Phase::Live(live) if !live.closing => live.limits.max_message_bytes as usize,
            _ => return,
        };
        // Before the application's messages: most of these may need the rooms, and there are never many for long.
        let rooms = self.flush_rooms().err();
        self.deadlines.put(Due::Queue, rooms);
        loop {
            match self.pending.next(self.now, &mut self.rates) {
                Ok(message) => {
                    let after = self.pending.before(&message);
                    let payload = message.payload.as_deref();
                    let behind = after.zip(payload).map(|(after, payload)| publish::behind(payload, after));
                    let text = frames::envelope(&message.kind, message.id(), behind.as_deref().or(payload));
                    if most != 0 && text.len() > most {
                        self.refuse(message, Failure::too_large());
                        continue;
                    }
                    self.pending.written(message, self.now);
                    self.emit(Output::Write(text));
                }
                Err(Some(at)) => return self.deadlines.set(Due::Queue, rooms.map_or(at, |rooms| rooms.min(at))),
                Err(None) => return,
            }
        }
    }
}
