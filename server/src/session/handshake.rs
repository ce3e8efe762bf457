//! The beginning of a session (§1) and its token's life: `connect`, `auth`, the greeting, refresh in place.

use super::{
    Mode, Purpose, Session, State,
    ask::{Consent, Question, Then},
    deadlines::Timer,
    effect::{Effect, Refusal, RoomRequest, VerifyFor, Welcome},
    legacy::Joins,
};
use crate::{auth::Verified, auth::resume::RESUME_MS, engine::Position, hub::JoinRequest};
use osbackend_protocol::{
    Action, Authenticated, ClientFrame, ClientMessage, CloseCode, ErrorBody, ErrorCode, EvaluatedPolicy, Greeting,
    PROTOCOL_VERSION, RequestId, RoomName, RoomPosition, RoomResult, ServerMessage, SystemFrame, Timestamp,
    client_msg::Connect,
    schema,
    server_msg::{LeaveReason, ResumeGrant, RoomRefused},
};
use std::collections::HashSet;

impl Session {
    pub(super) fn begin(&mut self, token: Option<String>, now: u64) {
        match (self.mode, token) {
            (Mode::Plain | Mode::Legacy, Some(token)) => self.verify(token, Purpose::Greet(Box::new(None), None)),
            (Mode::Plain | Mode::Legacy, None) => self.greet(None, None, now),
            (Mode::V1, token) => {
                self.token = token;
                if let Some(timeout) = self.settings.handshake_timeout_ms {
                    self.deadlines.set(Timer::Handshake, now + timeout);
                }
            }
        }
    }

    /// The first message of a client that speaks first.
    pub(super) fn first_message(&mut self, frame: ClientFrame, now: u64) {
        match frame.message {
            ClientMessage::Connect(connect) => self.connect(connect, frame.id, now),
            _ => {
                let message = "the first message must be `connect`";
                self.send_error(frame.id, ErrorBody::new(ErrorCode::BadRequest, message), now);
                self.close(CloseCode::ProtocolError);
            }
        }
    }

    pub(super) fn connect(&mut self, connect: Connect, id: Option<RequestId>, now: u64) {
        if connect.protocol != PROTOCOL_VERSION {
            let message = format!("payload.protocol: this server speaks version {PROTOCOL_VERSION}: update the client");
            self.send_error(id, ErrorBody::new(ErrorCode::BadRequest, message), now);
            return self.close(CloseCode::UpgradeRequired);
        }
        // A plain client was greeted unasked, and may still say once what it wants.
        if self.connected || self.mode == Mode::V1 && self.greeted || self.who.is_some() && connect.token.is_some() {
            let message = "already connected: use `auth` to refresh the token and `join` for more rooms";
            return self.send_error(id, ErrorBody::new(ErrorCode::BadRequest, message), now);
        }
        self.connected = true;
        self.deadlines.stop(Timer::Handshake);
        let Some((mut connect, id)) = self.claim(connect, id, now) else { return };
        match (connect.token.take(), self.token.take()) {
            (Some(inside), Some(outside)) if inside != outside => {
                let refusal = Refusal::Token(crate::auth::AuthError::Conflicting);
                self.refuse(id, &refusal, now);
            }
            (None, None) => self.greet(Some(connect), id, now),
            (Some(token), _) | (None, Some(token)) => self.verify(token, Purpose::Greet(Box::new(Some(connect)), id)),
        }
    }

    pub(super) fn auth(&mut self, token: String, id: Option<RequestId>) {
        self.verify(token, Purpose::Auth(id));
    }

    fn verify(&mut self, token: String, purpose: Purpose) {
        self.state = State::Verifying { purpose, held: Default::default() };
        self.effects.push_back(Effect::Verify(VerifyFor { token }));
    }

    /// The token was checked.
    pub fn on_verified(&mut self, result: Result<Verified, Refusal>, now: u64) {
        self.after_check(now, |session, purpose| session.verified(purpose, result, now));
    }

    /// What was waited for is known, and decides; then what the client sent meanwhile is looked at.
    pub(super) fn after_check(&mut self, now: u64, decide: impl FnOnce(&mut Self, Purpose)) {
        let (purpose, held) = match std::mem::replace(&mut self.state, State::Open) {
            State::Verifying { purpose, held } => (purpose, held),
            other => {
                self.state = other;
                return;
            }
        };
        // What waits already was sent after the token.
        self.in_front(|session| decide(session, purpose));
        self.take_turns(now);
        for message in held {
            match &mut self.state {
                State::Closed => return,
                State::Verifying { held, .. } => held.push_back(message),
                State::AwaitConnect | State::Open => self.on_message(message, now),
            }
        }
    }

    fn verified(&mut self, purpose: Purpose, result: Result<Verified, Refusal>, now: u64) {
        match (purpose, result) {
            (Purpose::Greet(connect, id), Ok(verified)) => {
                self.set_user(verified, now);
                self.greet(*connect, id, now);
            }
            (Purpose::Auth(id), Ok(verified)) => self.authenticated(verified, id, now),
            // An invalid refresh takes nothing away: the token that is held counts until it expires.
            (Purpose::Auth(id), Err(refusal)) if self.who.is_some() => {
                self.send_error(id, ErrorBody::new(refusal.code(false), refusal.to_string()), now);
            }
            (Purpose::Greet(_, id) | Purpose::Auth(id), Err(refusal)) => self.refuse(id, &refusal, now),
        }
    }

    /// Says why and ends: an invalid token never becomes an anonymous connection (§1).
    pub(super) fn refuse(&mut self, id: Option<RequestId>, refusal: &Refusal, now: u64) {
        let mut error = ErrorBody::new(refusal.code(true), refusal.to_string());
        error.retry_after_ms = refusal.retry_after_ms();
        self.send_error(id, error, now);
        self.close(refusal.close());
    }

    fn set_user(&mut self, verified: Verified, now: u64) {
        self.deadlines.stop(Timer::Authenticate);
        let expires_at = self.settings.ahead.of_wall(verified.expires_at_ms);
        self.deadlines.set(Timer::TokenWarning, expires_at.saturating_sub(self.settings.token_warning_ms).max(now));
        self.deadlines.set(Timer::TokenExpired, expires_at.saturating_add(self.settings.token_grace_ms));
        // Whoever it was before, nobody has let this user in yet.
        self.admitted &= self.who.is_some();
        self.who = Some(verified);
    }

    /// The question whether this client may connect, where the backend is asked and has not answered it. A client that has yet
    /// to authenticate is none that anybody could answer it about.
    fn may_connect(&mut self) -> Option<Question> {
        let somebody = self.who.is_some() || self.settings.allow_anonymous;
        if self.admitted || !somebody {
            return None;
        }
        self.admitted = true;
        self.introduced = true;
        self.settings.asks.connect.then_some(Question::Connect { resumed: self.resumed })
    }

    pub(super) fn greet(&mut self, connect: Option<Connect>, id: Option<RequestId>, now: u64) {
        self.state = State::Open;
        let (mut wanted, mut refused) = (Vec::new(), Vec::new());
        if let Some(connect) = connect {
            self.batch = connect.batch;
            (wanted, refused) = (connect.rooms, connect.refused);
            let sub = self.who.as_ref().map(|who| who.identity.sub.as_str());
            if let Some(resume) = connect.resume
                && !self.greeted
                && self.settings.resume.verify(&resume.token, &resume.client_id, sub, now)
            {
                self.client_id = resume.client_id.into();
                self.resumed = true;
            }
        }
        match self.may_connect() {
            Some(question) => self.ask(vec![question], Then::Greet { wanted, refused, id }),
            None => self.greet_with(wanted, refused, id, now),
        }
    }

    /// Greets a client that may connect, once the backend has said which of its rooms it may join.
    pub(super) fn greet_with(&mut self, wanted: Vec<RoomPosition>, refused: Vec<RoomRefused>, id: Option<RequestId>, now: u64) {
        if self.is_legacy() {
            return self.begin_feed(now);
        }
        let (rooms, asked) = self.rooms_to_join(wanted, refused, now);
        if asked.is_empty() {
            return self.welcomed(rooms, id, now);
        }
        let question = |place: &usize| match rooms.get(*place) {
            Some(Ok(request)) => Some(Question::Join { room: request.room.clone() }),
            _ => None,
        };
        let questions = asked.iter().filter_map(question).collect();
        self.ask(questions, Then::Welcome { rooms, asked, id });
    }

    pub(super) fn welcomed(&mut self, rooms: Vec<RoomRequest>, id: Option<RequestId>, now: u64) {
        let first = !self.greeted;
        self.greeted = true;
        if self.who.is_none() && !self.settings.allow_anonymous && first {
            self.wait_for_user(now);
        }
        if first && let Some(interval) = self.settings.heartbeat_ms {
            self.deadlines.set(Timer::Ping, now + interval);
            self.deadlines.set(Timer::Heartbeat, now + interval);
        }
        self.effects.push_back(Effect::Welcome(Welcome::Greeting { rooms, id }));
    }

    pub(super) fn wait_for_user(&mut self, now: u64) {
        if let Some(timeout) = self.settings.auth_timeout_ms {
            self.deadlines.set(Timer::Authenticate, now + timeout);
        }
    }

    /// The rooms asked for in `connect`, each allowed or refused, and the user's own; and the places of those that the backend
    /// decides about.
    fn rooms_to_join(
        &mut self,
        mut wanted: Vec<RoomPosition>,
        mut refused: Vec<RoomRefused>,
        now: u64,
    ) -> (Vec<RoomRequest>, Vec<usize>) {
        self.cap_rooms(&mut wanted, &mut refused);
        let own_room = self.own_room_name();
        let mut asked = Vec::new();
        let mut rooms: Vec<RoomRequest> = Vec::with_capacity(wanted.len() + refused.len() + 1);
        let mut listed = HashSet::with_capacity(wanted.len());
        for RoomPosition { room, epoch, offset } in wanted {
            let allowed = if !listed.insert(room.clone()) {
                // Joined once more it would replay what the first entry did (§5: each once).
                Err(ErrorBody::new(ErrorCode::BadRequest, "the room is listed twice"))
            } else if self.who.is_none() && !self.settings.allow_anonymous {
                Err(ErrorBody::new(ErrorCode::Unauthorized, "authenticate first"))
            } else {
                self.charge_join(now).and_then(|()| self.may_join(&room))
            };
            if let Ok(Consent::Ask) = allowed {
                asked.push(rooms.len());
            }
            rooms.push(match allowed {
                Ok(_) => {
                    self.rooms.insert(room.clone());
                    let position = epoch.zip(offset).map(|(epoch, offset)| Position { epoch, offset });
                    let max_clients = self.settings.policy.max_clients(&room);
                    let presence = self.sees_presence(&room);
                    let returning = self.resumed || position.is_some();
                    let own = own_room.as_ref() == Some(&room);
                    Ok(JoinRequest { room, position, snapshot: true, max_clients, presence, returning, own })
                }
                Err(error) => Err(RoomRefused { room: room.to_string(), error: error.into() }),
            });
        }
        rooms.extend(refused.into_iter().map(Err));
        rooms.extend(self.own_room().map(Ok));
        (rooms, asked)
    }

    /// A join by `connect` counts as one by `join`, but at the first greeting: everybody comes back with all rooms at once.
    fn charge_join(&mut self, now: u64) -> Result<(), ErrorBody> {
        if self.greeted { self.take_join(now) } else { Ok(()) }
    }

    /// Leaves out what is over `MAX_ROOMS`, with one refusal for all of it: an answer must not grow with what was asked for.
    /// The user's own room takes no place.
    fn cap_rooms(&self, wanted: &mut Vec<RoomPosition>, refused: &mut Vec<RoomRefused>) {
        let most = self.settings.limits.max_rooms as usize;
        let own = self.own_room_name().filter(|own| wanted.iter().any(|position| position.room == *own));
        let places = most + usize::from(own.is_some());
        if most == 0 || wanted.len() + refused.len() <= places {
            return;
        }
        let (mut left, mut first, mut over) = (most, None, 0_usize);
        let mut cut = |room: &str| {
            over += 1;
            first.get_or_insert_with(|| room.to_owned());
        };
        let mut own_is_due = own.is_some();
        wanted.retain(|position| {
            if own.as_ref() == Some(&position.room) && std::mem::take(&mut own_is_due) {
                return true;
            }
            let fits = left > 0;
            left = left.saturating_sub(1);
            if !fits {
                cut(position.room.as_str());
            }
            fits
        });
        for RoomRefused { room, .. } in refused.drain(left.min(refused.len())..) {
            cut(&room);
        }
        if let Some(room) = first {
            let message = format!("`connect` may name {most} rooms: this one and {} more were left out", over - 1);
            refused.push(RoomRefused { room, error: ErrorBody::new(ErrorCode::LimitReached, message).into() });
        }
    }

    /// `user:{id}`, unless it is joined already or the policy or the token doesn't let its user in.
    fn own_room(&mut self) -> Option<JoinRequest> {
        let room = self.own_room_name()?;
        self.check(&room, Action::Join).ok()?;
        let max_clients = self.settings.policy.max_clients(&room);
        let presence = self.sees_presence(&room);
        let (room_of_request, returning) = (room.clone(), self.resumed);
        let request =
            JoinRequest { room: room_of_request, position: None, snapshot: true, max_clients, presence, returning, own: true };
        self.rooms.insert(room).then_some(request)
    }

    /// What this user may do, for the SDK's `can()`.
    fn evaluated(&self) -> EvaluatedPolicy {
        if self.who.is_none() && !self.settings.allow_anonymous {
            // Nothing is allowed before `auth`.
            return EvaluatedPolicy::default();
        }
        EvaluatedPolicy::of(&self.settings.policy, self.identity())
    }

    /// `user:{id}`. A `sub` that makes no room name (too long) has no room of its own.
    pub(super) fn own_room_name(&self) -> Option<RoomName> {
        RoomName::of_user(&self.who.as_ref()?.identity.sub).ok()
    }

    fn authenticated(&mut self, verified: Verified, id: Option<RequestId>, now: u64) {
        if let Some(who) = &self.who
            && who.identity.sub != verified.identity.sub
        {
            let message = "the token is another user's: disconnect and connect anew to change the user";
            return self.send_error(id, ErrorBody::new(ErrorCode::Forbidden, message), now);
        }
        self.set_user(verified, now);
        match self.may_connect() {
            Some(question) => self.ask(vec![question], Then::Authenticated { id }),
            None => self.refreshed(id, now),
        }
    }

    /// Answers `auth`, and looks at the rooms again: the new token may allow less (§3).
    pub(super) fn refreshed(&mut self, id: Option<RequestId>, now: u64) {
        // Before the user's own room is joined: that one needs no look.
        let mut lost = Vec::new();
        let mut asked = Vec::new();
        for room in &self.rooms {
            match self.check(room, Action::Join) {
                Ok(Consent::Given) => {}
                Ok(Consent::Ask) => asked.push(room.clone()),
                Err(_) => lost.push(room.clone()),
            }
        }
        let rooms = if self.is_legacy() {
            match self.join_feed(false) {
                Ok(Joins::Rooms(rooms)) => rooms,
                Ok(Joins::Ask(question)) => return self.ask(vec![question], Then::Feed { id, auth: true }),
                Err(error) => return self.refuse_feed(id, error, now),
            }
        } else {
            self.own_room().map(Ok).into_iter().collect()
        };
        self.effects.push_back(Effect::Welcome(Welcome::Authenticated { rooms, id }));
        for room in lost {
            self.rooms.remove(&room);
            self.effects.push_back(Effect::Leave { room, reason: LeaveReason::PermissionLost, id: None });
        }
        if !asked.is_empty() {
            let questions = asked.iter().map(|room| Question::Join { room: room.clone() }).collect();
            self.ask(questions, Then::Recheck { rooms: asked });
        }
    }

    /// A token with which this client may be resumed as who it is now, and the time of the next one: a connection may live
    /// longer than its token.
    pub(super) fn grant_resume(&mut self, now: u64) -> Option<ResumeGrant> {
        if !matches!(self.state, State::Closed) {
            self.deadlines.set(Timer::Resume, now + RESUME_MS / 2);
        }
        let sub = self.identity().map(|who| who.sub.as_str());
        self.settings.resume.grant(&self.client_id, sub, now)
    }

    /// The answer once its rooms are joined; `away_ms` is how long a resumed client was gone.
    pub fn welcome(&mut self, welcome: Welcome, rooms: Vec<RoomResult>, away_ms: u64, now: u64) -> SystemFrame {
        let timestamp = self.shown(now);
        let resume = if self.is_legacy() { None } else { self.grant_resume(now) };
        let identity = self.identity();
        let (user_id, role) = (identity.map(|who| who.sub.clone()), identity.and_then(|who| who.role.clone()));
        let expires_at = self.who.as_ref().map(|who| Timestamp(who.expires_at_ms));
        match welcome {
            Welcome::Authenticated { id, .. } => {
                let expires_at = expires_at.unwrap_or_default();
                let data = Authenticated {
                    user_id: user_id.unwrap_or_default(),
                    role,
                    expires_at,
                    rooms,
                    policy: Some(self.evaluated()),
                    resume,
                };
                SystemFrame { message: ServerMessage::Authenticated(data), id, timestamp }
            }
            Welcome::Greeting { id, .. } => {
                let must_authenticate = self.who.is_none() && !self.settings.allow_anonymous;
                let greeting = Greeting {
                    client_id: self.client_id.to_string(),
                    authenticated: identity.is_some(),
                    resume,
                    user_id,
                    role,
                    expires_at,
                    protocol: PROTOCOL_VERSION,
                    schema: schema::FINGERPRINT.to_owned(),
                    heartbeat_interval_ms: self.settings.heartbeat_ms.unwrap_or(0),
                    limits: self.settings.limits,
                    rooms,
                    policy: Some(self.evaluated()),
                    downtime_ms: self.resumed.then_some(away_ms),
                    auth_timeout_ms: must_authenticate.then_some(self.settings.auth_timeout_ms.unwrap_or(0)),
                };
                let message = if self.resumed {
                    ServerMessage::Reconnected(greeting)
                } else {
                    ServerMessage::ConnectionEstablished(greeting)
                };
                SystemFrame { message, id, timestamp }
            }
        }
    }
}
