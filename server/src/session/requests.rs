//! The requests of a greeted client (§3): what is allowed, what is answered.

use super::{Session, effect::Effect};
use crate::{
    engine::Position,
    hub::JoinRequest,
    metrics::{self, MetricQuery},
};
use osbackend_protocol::{
    Action, ClientFrame, ClientMessage, ErrorBody, ErrorCode, RequestId, RoomName, ServerMessage, Timestamp, allowed,
    client_msg::{HistoryGet, Join, MetricsGet, Publish},
    event,
    limits::MAX_PAGE,
    permission::{self, Denied},
    server_msg::{Heartbeat, LeaveReason},
};

impl Session {
    pub(super) fn request(&mut self, frame: ClientFrame, now: u64) {
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
                self.send(ServerMessage::Heartbeat(Heartbeat { server_time: Timestamp(now) }), id, now);
                return;
            }
            ClientMessage::Custom(custom) => {
                self.effects.push_back(Effect::Custom { custom, id });
                return;
            }
            ClientMessage::Join(join) => self.join(join, id.clone(), now),
            ClientMessage::Leave(leave) => self.leave(leave.room, id.clone()),
            ClientMessage::Publish(publish) => self.publish(publish, id.clone()),
            ClientMessage::MetricsGet(get) => self.metrics(get, id.clone(), now),
            ClientMessage::PresenceGet(get) => self.presence(get.room, id.clone()),
            ClientMessage::HistoryGet(get) => self.history(get, id.clone()),
        };
        if let Err(error) = refused {
            self.send_error(id, error, now);
        }
    }

    /// Whether the user may do this, as the error to answer with.
    fn check(&self, room: &RoomName, action: Action) -> Result<(), ErrorBody> {
        allowed(&self.settings.policy, self.identity(), room, action).map_err(|denied| refused(room, &denied))
    }

    /// Whether one more room may be joined.
    pub(super) fn may_join(&self, room: &RoomName) -> Result<(), ErrorBody> {
        self.check(room, Action::Join)?;
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
        Ok(())
    }

    fn join(&mut self, join: Join, id: Option<RequestId>, now: u64) -> Result<(), ErrorBody> {
        if let Err(retry_after_ms) = self.joins.take(now) {
            let mut error = in_room(&join.room, ErrorCode::RateLimited, "too many joins: slow down".to_owned());
            error.retry_after_ms = Some(retry_after_ms);
            return Err(error);
        }
        self.may_join(&join.room)?;
        self.rooms.insert(join.room.clone());
        let position = join.epoch.zip(join.offset).map(|(epoch, offset)| Position { epoch, offset });
        let max_clients = self.settings.policy.max_clients(&join.room);
        let request = JoinRequest { room: join.room, position, snapshot: join.snapshot, max_clients };
        self.effects.push_back(Effect::Join { request, id });
        Ok(())
    }

    fn leave(&mut self, room: RoomName, id: Option<RequestId>) -> Result<(), ErrorBody> {
        if !self.rooms.remove(&room) {
            return Err(in_room(&room, ErrorCode::NotJoined, "this room is not joined".to_owned()));
        }
        self.effects.push_back(Effect::Leave { room, reason: LeaveReason::Requested, id });
        Ok(())
    }

    fn publish(&mut self, publish: Publish, id: Option<RequestId>) -> Result<(), ErrorBody> {
        permission::may_publish(&self.settings.policy, self.identity(), &publish.room, &publish.kind)
            .map_err(|denied| refused(&publish.room, &denied))?;
        let classified = event::classify(&publish.kind, &publish.data)
            .map_err(|error| in_room(&publish.room, ErrorCode::BadRequest, format!("payload.{error}")))?;
        let Publish { room, kind, data, idempotency_key, ephemeral } = publish;
        self.effects.push_back(Effect::Publish { room, kind, data, classified, idempotency_key, ephemeral, id });
        Ok(())
    }

    fn metrics(&mut self, get: MetricsGet, id: Option<RequestId>, now: u64) -> Result<(), ErrorBody> {
        if let Ok(overview) = RoomName::parse(metrics::ROOM) {
            self.check(&overview, Action::Join)?;
        }
        let query =
            MetricQuery::new(get, now).map_err(|error| ErrorBody::new(ErrorCode::BadRequest, format!("payload.{error}")))?;
        self.effects.push_back(Effect::Metrics { query, id });
        Ok(())
    }

    fn presence(&mut self, room: RoomName, id: Option<RequestId>) -> Result<(), ErrorBody> {
        self.check(&room, Action::Presence)?;
        self.effects.push_back(Effect::Presence { room, id });
        Ok(())
    }

    fn history(&mut self, get: HistoryGet, id: Option<RequestId>) -> Result<(), ErrorBody> {
        self.check(&get.room, Action::History)?;
        let limit = page(get.limit, 100).map_err(|error| ErrorBody { room: Some(get.room.to_string()), ..error })?;
        self.effects.push_back(Effect::History { get, limit, id });
        Ok(())
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
