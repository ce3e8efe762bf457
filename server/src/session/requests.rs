//! The requests of a greeted client (§3): what is allowed, what is answered.

use super::{
    Session,
    ask::{Consent, Question, Then},
    effect::Effect,
};
use crate::{
    engine::Position,
    hub::JoinRequest,
    metrics::{self, MetricQuery},
};
use osbackend_protocol::{
    Action, ClientFrame, ClientMessage, ErrorBody, ErrorCode, RequestId, RoomName, ServerMessage, allowed,
    client_msg::{HistoryGet, Join, MetricsGet, Publish},
    event,
    limits::MAX_PAGE,
    permission::{self, Denied},
    server_msg::{Heartbeat, LeaveReason},
};

impl Session {
    pub(super) fn request(&mut self, frame: ClientFrame, now: u64) {
        if let Some(frame) = self.ask_about(frame, now) {
            self.carry_out(frame, false, now);
        }
    }

    /// A request that the backend has allowed. What the server itself demands is looked at once more: time has passed.
    pub(super) fn answered(&mut self, frame: ClientFrame, now: u64) {
        self.carry_out(frame, true, now);
    }

    /// Asks the backend about a request that it decides; gives back any other, and one that is refused anyway.
    pub(super) fn ask_about(&mut self, frame: ClientFrame, now: u64) -> Option<ClientFrame> {
        if !self.settings.asks_about_rooms || self.needs_user(&frame.message) {
            return Some(frame);
        }
        let Some(question) = self.question(&frame.message) else { return Some(frame) };
        let mut fresh = false;
        if let ClientMessage::Join(join) = &frame.message {
            if self.usage.joins.take(&self.settings.joins, now).is_err() {
                return Some(frame);
            }
            // It has its place from now on, so that no more are asked about than there is room for.
            fresh = self.rooms.insert(join.room.clone());
        }
        self.ask(vec![question], Then::Request { frame, fresh });
        None
    }

    /// What the backend is to be asked about a request; `None` where it has no say, or the server refuses already.
    fn question(&self, message: &ClientMessage) -> Option<Question> {
        let asks = |consent: Result<Consent, ErrorBody>| consent == Ok(Consent::Ask);
        match message {
            ClientMessage::Join(join) => asks(self.may_join(&join.room)).then(|| Question::Join { room: join.room.clone() }),
            ClientMessage::Publish(Publish { room, kind, data, .. }) => {
                let good = asks(self.check_publish(room, kind)) && event::classify(kind, data).is_ok();
                good.then(|| Question::Publish { room: room.clone(), kind: kind.clone(), data: data.clone() })
            }
            ClientMessage::PresenceGet(get) => {
                asks(self.check(&get.room, Action::Presence)).then(|| Question::Presence { room: get.room.clone() })
            }
            ClientMessage::HistoryGet(get) => {
                asks(self.check(&get.room, Action::History)).then(|| Question::History { room: get.room.clone() })
            }
            // Who is in the room was allowed to join it.
            ClientMessage::MetricsGet(_) => {
                let room = RoomName::parse(metrics::ROOM).ok().filter(|room| !self.rooms.contains(room))?;
                asks(self.check(&room, Action::Join)).then_some(Question::Join { room })
            }
            _ => None,
        }
    }

    fn carry_out(&mut self, frame: ClientFrame, answered: bool, now: u64) {
        let ClientFrame { id, message } = frame;
        if self.needs_user(&message) {
            let text = "authenticate first: send {\"type\":\"auth\",\"payload\":{\"token\":\"…\"}}";
            return self.send_error(id, ErrorBody::new(ErrorCode::Unauthorized, text), now);
        }
        let refused = match message {
            ClientMessage::Connect(connect) => {
                self.connect(connect, id, now);
                return;
            }
            ClientMessage::Auth(auth) => {
                self.auth(auth.token, id);
                return;
            }
            ClientMessage::Heartbeat => {
                self.send(ServerMessage::Heartbeat(Heartbeat { server_time: self.shown(now), resume: None }), id, now);
                return;
            }
            ClientMessage::Custom(custom) => {
                self.effects.push_back(Effect::Custom { custom, id });
                return;
            }
            ClientMessage::Join(join) => self.join(join, answered, id.clone(), now),
            ClientMessage::Leave(leave) => self.leave(leave.room, id.clone()),
            ClientMessage::Publish(publish) => self.publish(publish, answered, id.clone(), now),
            ClientMessage::MetricsGet(get) => self.metrics(get, answered, id.clone(), now),
            ClientMessage::PresenceGet(get) => self.presence(get.room, answered, id.clone()),
            ClientMessage::HistoryGet(get) => self.history(get, answered, id.clone()),
        };
        if let Err(error) = refused {
            self.send_error(id, error, now);
        }
    }

    /// Whether the user may do this, and whether the backend has the last word; else the error to answer with.
    pub(super) fn check(&self, room: &RoomName, action: Action) -> Result<Consent, ErrorBody> {
        self.consent(allowed(&self.settings.policy, self.identity(), room, action), room, action)
    }

    /// As [`Self::check`], of an event of type `kind`.
    fn check_publish(&self, room: &RoomName, kind: &str) -> Result<Consent, ErrorBody> {
        let answer = permission::may_publish(&self.settings.policy, self.identity(), room, kind);
        self.consent(answer, room, Action::Publish)
    }

    /// What becomes of the policy's answer: a rule may leave it to the backend, and the backend may be asked about what the policy
    /// allows. The user's own room is the server's doing (§5), and nobody is asked about joining it.
    fn consent(&self, answer: Result<(), Denied>, room: &RoomName, action: Action) -> Result<Consent, ErrorBody> {
        let asks = match answer {
            Ok(()) => match action {
                Action::Join => self.settings.asks.join,
                Action::Publish => self.settings.asks.publish,
                Action::Presence | Action::History => false,
            },
            Err(Denied::AskBackend) => true,
            Err(denied) => return Err(refused(room, &denied)),
        };
        let own = || action == Action::Join && self.own_room_name().as_ref() == Some(room);
        Ok(if asks && !own() { Consent::Ask } else { Consent::Given })
    }

    /// As [`Self::check`], where the backend's word is needed and was `answered`, or is not needed.
    fn allow(&self, room: &RoomName, action: Action, answered: bool) -> Result<(), ErrorBody> {
        settled(self.check(room, action)?, room, answered)
    }

    /// Whether the client is told who comes to a room and goes (§5). Where the backend decides, that is from its first answer on.
    pub fn sees_presence(&self, room: &RoomName) -> bool {
        !self.is_legacy() && matches!(self.check(room, Action::Presence), Ok(Consent::Given))
    }

    /// Whether one more room may be joined.
    pub(super) fn may_join(&self, room: &RoomName) -> Result<Consent, ErrorBody> {
        let consent = self.check(room, Action::Join)?;
        let most = self.settings.limits.max_rooms;
        if most > 0 && self.rooms.len() >= most as usize && !self.rooms.contains(room) {
            // The user's own room is the server's doing (§5): it takes no place from those that the client asks for.
            let own = self.own_room_name();
            let asked_for = self.rooms.len() - usize::from(own.as_ref().is_some_and(|own| self.rooms.contains(own)));
            if asked_for >= most as usize && own.as_ref() != Some(room) {
                let message = format!("a connection may join {most} rooms: leave one first");
                return Err(in_room(room, ErrorCode::LimitReached, message));
            }
        }
        Ok(consent)
    }

    fn join(&mut self, join: Join, answered: bool, id: Option<RequestId>, now: u64) -> Result<(), ErrorBody> {
        // An answered one was counted before it was asked about.
        if !answered && let Err(error) = self.take_join(now) {
            return Err(ErrorBody { room: Some(join.room.to_string()), ..error });
        }
        settled(self.may_join(&join.room)?, &join.room, answered)?;
        self.rooms.insert(join.room.clone());
        let position = join.epoch.zip(join.offset).map(|(epoch, offset)| Position { epoch, offset });
        let max_clients = self.settings.policy.max_clients(&join.room);
        let presence = self.sees_presence(&join.room);
        let returning = self.resumed || position.is_some();
        let request =
            JoinRequest { room: join.room, position, snapshot: join.snapshot, max_clients, presence, returning, own: false };
        self.effects.push_back(Effect::Join { request, id });
        Ok(())
    }

    /// Takes one join from the quota.
    pub(super) fn take_join(&mut self, now: u64) -> Result<(), ErrorBody> {
        self.usage.joins.take(&self.settings.joins, now).map_err(|retry_after_ms| {
            let error = ErrorBody::new(ErrorCode::RateLimited, "too many joins: slow down");
            ErrorBody { retry_after_ms: Some(retry_after_ms), ..error }
        })
    }

    fn leave(&mut self, room: RoomName, id: Option<RequestId>) -> Result<(), ErrorBody> {
        if !self.rooms.remove(&room) {
            return Err(in_room(&room, ErrorCode::NotJoined, "this room is not joined".to_owned()));
        }
        self.effects.push_back(Effect::Leave { room, reason: LeaveReason::Requested, id });
        Ok(())
    }

    fn publish(&mut self, mut publish: Publish, answered: bool, id: Option<RequestId>, now: u64) -> Result<(), ErrorBody> {
        let consent = self.check_publish(&publish.room, &publish.kind)?;
        let classified = event::classify(&publish.kind, &publish.data)
            .map_err(|error| in_room(&publish.room, ErrorCode::BadRequest, format!("payload.{error}")))?;
        settled(consent, &publish.room, answered).inspect_err(|error| self.remember_event(&publish, error.code, now))?;
        let place = self.place(&mut publish);
        let Publish { room, kind, data, idempotency_key, ephemeral, .. } = publish;
        self.effects.push_back(Effect::Publish { room, kind, data, classified, idempotency_key, ephemeral, place, id });
        Ok(())
    }

    fn metrics(&mut self, get: MetricsGet, answered: bool, id: Option<RequestId>, now: u64) -> Result<(), ErrorBody> {
        if let Ok(overview) = RoomName::parse(metrics::ROOM) {
            self.allow(&overview, Action::Join, answered || self.rooms.contains(&overview))?;
        }
        let query = MetricQuery::new(get, self.settings.ahead.wall(now))
            .map_err(|error| ErrorBody::new(ErrorCode::BadRequest, format!("payload.{error}")))?;
        self.effects.push_back(Effect::Metrics { query, id });
        Ok(())
    }

    fn presence(&mut self, room: RoomName, answered: bool, id: Option<RequestId>) -> Result<(), ErrorBody> {
        self.allow(&room, Action::Presence, answered)?;
        self.effects.push_back(Effect::Presence { room, id });
        Ok(())
    }

    fn history(&mut self, get: HistoryGet, answered: bool, id: Option<RequestId>) -> Result<(), ErrorBody> {
        self.allow(&get.room, Action::History, answered)?;
        let limit = page(get.limit, 100).map_err(|error| ErrorBody { room: Some(get.room.to_string()), ..error })?;
        self.effects.push_back(Effect::History { get, limit, id });
        Ok(())
    }
}

/// Where the backend has the last word, it must have said it: a door that was forgotten stays closed.
fn settled(consent: Consent, room: &RoomName, answered: bool) -> Result<(), ErrorBody> {
    match consent {
        Consent::Ask if !answered => Err(in_room(room, ErrorCode::Unavailable, "the backend was not asked".to_owned())),
        Consent::Ask | Consent::Given => Ok(()),
    }
}

fn page(limit: Option<u32>, default: u32) -> Result<usize, ErrorBody> {
    match limit.unwrap_or(default) {
        0 => Err(ErrorBody::new(ErrorCode::BadRequest, format!("payload.limit: must be 1 to {MAX_PAGE}"))),
        limit => Ok(limit.min(MAX_PAGE) as usize),
    }
}

fn refused(room: &RoomName, denied: &Denied) -> ErrorBody {
    let code = if *denied == Denied::NotAuthenticated { ErrorCode::Unauthorized } else { ErrorCode::Forbidden };
    in_room(room, code, denied.to_string())
}

fn in_room(room: &RoomName, code: ErrorCode, message: String) -> ErrorBody {
    ErrorBody { room: Some(room.to_string()), ..ErrorBody::new(code, message) }
}
