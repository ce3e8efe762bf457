//! One connection's side of the protocol as a machine without I/O: frames, timers and check results in, effects out.
//!
//! It decides what is allowed and what is answered. What touches rooms is an [`Effect`] that [`crate::connection`] carries out;
//! checking a token is one that the socket's driver carries out. `now` is always an input, in milliseconds since 1970.

mod ask;
mod deadlines;
mod effect;
mod handshake;
mod legacy;
mod order;
mod requests;
mod resuming;
mod settings;
mod usage;

pub use ask::{Asks, Question, Verdict};
pub use effect::{Effect, Refusal, RoomRequest, VerifyFor, Welcome};
pub use settings::SessionSettings;
pub use usage::Traffic;

use crate::{auth::Verified, engine::Refused, hub::presence::Info};
use ask::Waiting;
use deadlines::{Deadlines, Timer};
use osbackend_protocol::{
    ClientFrame, ClientMessage, CloseCode, DecodeError, ErrorBody, ErrorCode, Identity, RequestId, RoomName, ServerMessage,
    SystemFrame, Timestamp,
    client_msg::Connect,
    decode_client,
    limits::{MALFORMED_WINDOW_MS, MAX_MALFORMED},
    server_msg::{Draining, Heartbeat, TokenExpiring},
};
use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};
use usage::Usage;

/// Who speaks first (§1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The server, with `connection_established`.
    Plain,
    /// The client, with `connect`.
    V1,
    /// Nobody: the metrics come as soon as the client may have them (the legacy port).
    Legacy,
}

/// Where a session stands.
#[derive(Debug)]
enum State {
    /// Waiting for `connect`.
    AwaitConnect,
    /// A token is being checked; what the client sent since waits.
    Verifying { purpose: Purpose, held: VecDeque<Result<ClientFrame, DecodeError>> },
    /// Greeted.
    Open,
    /// Over.
    Closed,
}

/// What goes on once the token is checked.
#[derive(Debug)]
enum Purpose {
    /// The greeting, with what `connect` asked for.
    Greet(Box<Option<Connect>>, Option<RequestId>),
    /// The answer to `auth`.
    Auth(Option<RequestId>),
}

/// The machine.
pub struct Session {
    settings: Arc<SessionSettings>,
    mode: Mode,
    state: State,
    client_id: Arc<str>,
    /// Came with the upgrade request.
    token: Option<String>,
    who: Option<Verified>,
    greeted: bool,
    /// A `connect` was taken: there is one a connection.
    connected: bool,
    resumed: bool,
    batch: bool,
    rooms: HashSet<RoomName>,
    deadlines: Deadlines,
    usage: Usage,
    malformed: VecDeque<u64>,
    /// When a message was last written.
    sent_at: u64,
    /// What of this connection's events was refused for now; made when the first of them comes.
    refused: Option<Arc<Refused>>,
    /// Requests that wait for the backend, and those behind them.
    waiting: VecDeque<Waiting>,
    next_ticket: u64,
    /// The backend let this user connect, or nobody asked it to.
    admitted: bool,
    /// See [`Self::is_introduced`].
    introduced: bool,
    /// Why it is refused where it doesn't resume: see [`Self::only_in_place_of_an_older`].
    unless_resumed: Option<Refusal>,
    effects: VecDeque<Effect>,
}

impl Session {
    /// A session that begins at `now`. `token` is the one of the upgrade request, or why there is no good one.
    pub fn new(
        settings: Arc<SessionSettings>,
        mode: Mode,
        client_id: Arc<str>,
        token: Result<Option<String>, Refusal>,
        now: u64,
    ) -> Self {
        let mut session = Self {
            mode,
            state: State::AwaitConnect,
            client_id,
            token: None,
            who: None,
            greeted: false,
            connected: false,
            resumed: false,
            batch: false,
            rooms: HashSet::new(),
            deadlines: Deadlines::default(),
            usage: Usage::default(),
            malformed: VecDeque::new(),
            sent_at: now,
            refused: None,
            waiting: VecDeque::new(),
            next_ticket: 0,
            admitted: false,
            introduced: false,
            unless_resumed: None,
            effects: VecDeque::new(),
            settings,
        };
        match token {
            Err(refusal) => session.refuse(None, &refusal, now),
            Ok(token) => session.begin(token, now),
        }
        session
    }

    /// What is to be done, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let effect = self.effects.pop_front();
        if effect.is_none() {
            // Effects are large and most connections idle: an empty queue keeps no buffer.
            self.effects = VecDeque::new();
        }
        effect
    }

    /// Whether the next thing to be done is a request whose answer may be large.
    pub fn next_asks_much(&self) -> bool {
        self.effects.front().is_some_and(Effect::asks_much)
    }

    /// Whether something is to be done that [`Self::poll_effect`] was not asked for yet.
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Whether it is over: what it still asks for is only the way out.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// When [`Self::on_timer`] is to be called.
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.next()
    }

    /// Whether it waits for [`Self::on_verified`]: nothing should be read meanwhile.
    pub fn is_verifying(&self) -> bool {
        matches!(self.state, State::Verifying { .. })
    }

    /// Whether several messages may go in one frame (§7).
    pub fn batch(&self) -> bool {
        self.batch
    }

    /// Whether only metrics are to be sent.
    pub fn is_legacy(&self) -> bool {
        self.mode == Mode::Legacy
    }

    /// The client's id.
    pub fn client_id(&self) -> &Arc<str> {
        &self.client_id
    }

    /// Who it is, once authenticated.
    pub fn identity(&self) -> Option<&Identity> {
        self.who.as_ref().map(|who| &who.identity)
    }

    /// What others may see of the user.
    pub fn info(&self) -> Option<&Arc<Info>> {
        self.who.as_ref()?.info.as_ref()
    }

    /// The rooms that are joined.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomName> {
        self.rooms.iter()
    }

    /// A text frame came.
    pub fn on_text(&mut self, text: &str, now: u64) {
        self.deadlines.stop(Timer::Pong);
        for message in decode_client(text) {
            match &mut self.state {
                State::Closed => return,
                State::Verifying { held, .. } => held.push_back(message),
                State::AwaitConnect | State::Open => self.on_message(message, now),
            }
        }
    }

    /// A binary frame came: the protocol has none.
    pub fn on_binary(&mut self) {
        self.close(CloseCode::BinaryFrame);
    }

    /// A message was written to the client. (A ping is none: a browser's client hears nothing of it.)
    pub fn on_sent(&mut self, now: u64) {
        self.sent_at = now;
    }

    /// A deadline may have passed.
    pub fn on_timer(&mut self, now: u64) {
        // Held for a reader that takes its answers slowly, but does take them.
        let timeout = self.settings.pong_timeout_ms.unwrap_or(0).max(1);
        let reads_slowly = self.has_effects() && self.sent_at.saturating_add(timeout) > now;
        while let Some(timer) = self.deadlines.take_due(now) {
            match timer {
                // Not a protocol error (4500): the network may have been slow, and the client should try again.
                Timer::Handshake => match self.unless_resumed.take() {
                    Some(refusal) => self.refuse(None, &refusal, now),
                    None => self.close(CloseCode::NoHeartbeat),
                },
                Timer::Authenticate => self.close(CloseCode::AuthTimeout),
                Timer::Ping => self.ping(now),
                Timer::Heartbeat => self.heartbeat(now),
                // Its pong may have come, and was not read.
                Timer::Pong if self.is_held() || reads_slowly => self.deadlines.set(Timer::Pong, now + timeout),
                Timer::Pong => self.close(CloseCode::NoHeartbeat),
                Timer::TokenWarning => {
                    if let Some(who) = &self.who
                        && !self.is_legacy()
                    {
                        let expires_at = Timestamp(who.expires_at_ms);
                        self.send(ServerMessage::TokenExpiring(TokenExpiring { expires_at }), None, now);
                    }
                }
                Timer::TokenExpired => {
                    let message = "the token has expired and was not refreshed: connect again with a new one";
                    self.send_error(None, ErrorBody::new(ErrorCode::TokenExpired, message), now);
                    self.close(CloseCode::TokenExpired);
                }
                Timer::Drain => self.close(CloseCode::Restart),
                Timer::Resume => {
                    let resume = self.grant_resume(now);
                    self.send(ServerMessage::Heartbeat(Heartbeat { server_time: self.shown(now), resume }), None, now);
                }
            }
        }
    }

    /// The server goes away; this client reconnects in `after_ms` (§4).
    pub fn on_drain(&mut self, after_ms: u64, now: u64) {
        if matches!(self.state, State::Closed) {
            return;
        }
        if self.greeted {
            if !self.is_legacy() {
                self.send(ServerMessage::Draining(Draining { reconnect_after_ms: after_ms }), None, now);
            }
            self.deadlines.set(Timer::Drain, now + after_ms);
        } else {
            self.close(CloseCode::Restart);
        }
    }

    /// A room that was to be joined could not be.
    pub fn on_join_failed(&mut self, room: &RoomName) {
        self.rooms.remove(room);
    }

    /// The rooms were told to close the connection, or the socket is gone.
    pub fn on_closed(&mut self) {
        self.state = State::Closed;
        self.deadlines.stop_all();
        self.waiting = VecDeque::new();
    }

    fn ping(&mut self, now: u64) {
        let Some(interval) = self.settings.heartbeat_ms else { return };
        self.effects.push_back(Effect::Ping);
        self.deadlines.set(Timer::Ping, now + interval);
        if let Some(timeout) = self.settings.pong_timeout_ms {
            // A ping that isn't answered yet keeps its deadline, or short intervals would put it off for ever.
            self.deadlines.start(Timer::Pong, now + timeout);
        }
    }

    /// Not at every ping, nor by a mark that is cleared there: a client must hear something in each interval, wherever that
    /// begins. The deadline isn't moved with every message, so it looks first whether it still is the one.
    fn heartbeat(&mut self, now: u64) {
        let Some(interval) = self.settings.heartbeat_ms else { return };
        let silent_until = self.sent_at + interval;
        if silent_until > now {
            return self.deadlines.set(Timer::Heartbeat, silent_until);
        }
        self.send(ServerMessage::Heartbeat(Heartbeat { server_time: self.shown(now), resume: None }), None, now);
        self.deadlines.set(Timer::Heartbeat, now + interval);
    }

    fn on_message(&mut self, message: Result<ClientFrame, DecodeError>, now: u64) {
        if let Err(retry_after_ms) = self.allow_message(now) {
            let id = match message {
                Ok(frame) => {
                    self.remember(&frame.message, ErrorCode::RateLimited, now);
                    frame.id
                }
                Err(error) => error.id,
            };
            return self.over_rate(id, retry_after_ms, now);
        }
        match message {
            Ok(frame) if matches!(self.state, State::AwaitConnect) => self.first_message(frame, now),
            Ok(frame) if !self.waiting.is_empty() => self.behind(frame, now),
            Ok(frame) if self.is_legacy() => self.legacy_request(frame, now),
            Ok(frame) => self.request(frame, now),
            Err(error) => self.bad_frame(error, now),
        }
    }

    fn bad_frame(&mut self, error: DecodeError, now: u64) {
        let mut body = ErrorBody::new(ErrorCode::BadRequest, error.to_string());
        body.room = error.room;
        self.send_error(error.id, body, now);
        if matches!(self.state, State::AwaitConnect) {
            return self.close(CloseCode::ProtocolError);
        }
        if error.malformed {
            self.malformed.push_back(now);
            while self.malformed.front().is_some_and(|at| at + MALFORMED_WINDOW_MS < now) {
                self.malformed.pop_front();
            }
            if self.malformed.len() >= MAX_MALFORMED as usize {
                self.close(CloseCode::ProtocolError);
            }
        }
    }

    /// The time to show.
    fn shown(&self, now: u64) -> Timestamp {
        Timestamp(self.settings.ahead.wall(now))
    }

    fn send(&mut self, message: ServerMessage, id: Option<RequestId>, now: u64) {
        self.effects.push_back(Effect::Send(SystemFrame { message, id, timestamp: self.shown(now) }));
    }

    fn send_error(&mut self, id: Option<RequestId>, error: ErrorBody, now: u64) {
        self.send(ServerMessage::Error(error), id, now);
    }

    fn close(&mut self, code: CloseCode) {
        if !matches!(self.state, State::Closed) {
            self.state = State::Closed;
            self.deadlines.stop_all();
            self.waiting = VecDeque::new();
            self.effects.push_back(Effect::Close(code));
        }
    }

    /// What a request of a kind that needs a user is answered with before there is one.
    fn needs_user(&self, message: &ClientMessage) -> bool {
        let free = matches!(message, ClientMessage::Auth(_) | ClientMessage::Connect(_) | ClientMessage::Heartbeat);
        self.who.is_none() && !self.settings.allow_anonymous && !free
    }
}

#[cfg(test)]
mod tests;
