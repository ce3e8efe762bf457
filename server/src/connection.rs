//! A session joined to the hub: carries out what the session decides, without waiting and without a socket.
//!
//! The gateway drives it with a WebSocket and real time, the simulation with neither. What has to wait (checking a token,
//! a custom handler) is handed out as [`Work`].

mod ending;

use crate::{
    auth::Verified,
    config::HookEvent,
    engine::{EngineError, Pending},
    handlers::{CustomReply, CustomRequest, Handlers, Running},
    history,
    hooks::{Call, Hooks, Topic},
    hub::{
        Hub, JoinError,
        outbox::{Item, Outbox},
        presence::{Departure, Person},
        registry::ConnectionHandle,
    },
    limits::address::group,
    metrics::{Asker, Desk, MetricQuery},
    publisher::Publisher,
    session::{Effect, Mode, Refusal, RoomRequest, Session, SessionSettings, Traffic, Verdict, Welcome},
    telemetry::meters::Meters,
};
use osbackend_protocol::{
    ErrorBody, ErrorCode, RequestId, RoomName, RoomResult, ServerFrame, ServerMessage, SystemFrame, Timestamp, encode_server,
    server_msg::{Published, RoomLeft, RoomRefused},
};
use std::{collections::VecDeque, net::IpAddr, sync::Arc, task::Context, time::Instant};

/// Events of one client that are published together, at most.
const PUBLISHES_AT_ONCE: usize = 64;

/// Something that waits, to be done by the driver.
pub enum Work {
    /// Check a token and call [`Connection::on_verified`].
    Verify(String),
    /// Look for an older connection whose place this one takes over, and call [`Connection::on_claimed`].
    Claim,
    /// Run a custom handler, and send its answer; see `handlers::answer`.
    Custom(Running),
    /// Answer a question to the metrics: see [`Connection::metrics`]. Nobody waits for it once the connection is gone.
    Metrics {
        /// What is asked.
        query: MetricQuery,
        /// The request.
        id: Option<RequestId>,
    },
    /// Ask the backend and call [`Connection::on_answer`] with the ticket.
    Ask {
        /// Tells the answer's question.
        ticket: u64,
        /// What to ask.
        call: Box<Call>,
    },
}

/// What all connections of a server share.
pub struct Shared {
    /// Rooms and connections.
    pub hub: Arc<Hub>,
    /// For sessions.
    pub settings: Arc<SessionSettings>,
    /// For custom messages.
    pub handlers: Handlers,
    /// The application's backend.
    pub hooks: Option<Hooks>,
    /// Where metrics are asked for.
    pub metrics: Desk,
    /// Bytes that may wait for one connection; 0 for no limit.
    pub outbox_bytes: usize,
    /// What is counted.
    pub meters: Arc<Meters>,
    /// When this process began, in milliseconds since 1970.
    pub started_ms: u64,
}

/// One connection.
pub struct Connection {
    shared: Arc<Shared>,
    session: Session,
    mode: Mode,
    handle: Arc<ConnectionHandle>,
    person: Option<Person>,
    said_goodbye: bool,
    named: Option<Arc<str>>,
    /// What the backend knows it by, once it has heard of it.
    id: Option<Arc<str>>,
    address: Option<IpAddr>,
    work: VecDeque<Work>,
    /// Accepted, and published with what else the client sent at once.
    publishes: Vec<Pending>,
    /// See [`Self::on_ending`].
    ending: bool,
}

impl Connection {
    /// A connection that begins now, from nobody knows where.
    pub fn new(shared: Arc<Shared>, mode: Mode, token: Result<Option<String>, Refusal>, now: u64) -> Self {
        Self::of(shared, mode, token, None, now)
    }

    /// A connection from this address that begins now.
    pub fn of(
        shared: Arc<Shared>,
        mode: Mode,
        token: Result<Option<String>, Refusal>,
        address: Option<IpAddr>,
        now: u64,
    ) -> Self {
        let outbox = Arc::new(Outbox::new(shared.outbox_bytes));
        let handle = shared.hub.registry.add(outbox);
        let client_id = shared.hub.new_id("c");
        shared.meters.connected(mode);
        let session = Session::new(shared.settings.clone(), mode, client_id, token, now);
        let mut connection = Self {
            shared,
            session,
            mode,
            handle,
            person: None,
            said_goodbye: false,
            named: None,
            id: None,
            address,
            work: VecDeque::new(),
            publishes: Vec::new(),
            ending: false,
        };
        connection.carry_out(now);
        connection
    }

    /// What is to be written.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.handle.outbox
    }

    /// What others may do to it.
    pub fn handle(&self) -> &Arc<ConnectionHandle> {
        &self.handle
    }

    /// The session's state, to look at.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Something that waits.
    pub fn poll_work(&mut self) -> Option<Work> {
        let work = self.work.pop_front();
        if work.is_none() {
            self.work = VecDeque::new();
        }
        work
    }

    /// See [`Session::on_text`].
    pub fn on_text(&mut self, text: &str, now: u64) {
        self.receive(text, now);
        self.flush();
    }

    /// As [`Self::on_text`], but events that the client publishes may wait for [`Self::flush`]: to be called when no more
    /// is there to be received.
    pub fn receive(&mut self, text: &str, now: u64) {
        self.session.on_text(text, now);
        self.decide(now);
        if self.publishes.len() >= PUBLISHES_AT_ONCE {
            self.flush();
        }
    }

    /// Publishes what waits for it.
    pub fn flush(&mut self) {
        if !self.publishes.is_empty() {
            let mut publishes = std::mem::take(&mut self.publishes);
            time_last(&mut publishes, &self.shared.meters);
            self.shared.hub.publish_all(publishes);
        }
    }

    /// See [`Session::on_binary`].
    pub fn on_binary(&mut self, now: u64) {
        self.session.on_binary();
        self.carry_out(now);
    }

    /// See [`Session::on_traffic`].
    pub fn on_traffic(&mut self, traffic: Traffic, now: u64) {
        self.session.on_traffic(traffic, now);
        // Not `carry_out`: what the client publishes at once stays together.
        self.decide(now);
    }

    /// See [`Session::on_sent`].
    pub fn on_sent(&mut self, now: u64) {
        self.session.on_sent(now);
    }

    /// See [`Session::on_timer`].
    pub fn on_timer(&mut self, now: u64) {
        self.session.on_timer(now);
        self.carry_out(now);
    }

    /// See [`Session::on_verified`].
    pub fn on_verified(&mut self, result: Result<Verified, Refusal>, now: u64) {
        self.session.on_verified(result, now);
        self.carry_out(now);
    }

    /// See [`Session::only_in_place_of_an_older`].
    pub fn only_in_place_of_an_older(&mut self, refusal: Refusal, now: u64) {
        self.session.only_in_place_of_an_older(refusal, now);
        self.carry_out(now);
    }

    /// See [`Session::on_claimed`].
    pub fn on_claimed(&mut self, result: Result<(), Refusal>, now: u64) {
        self.session.on_claimed(result, now);
        self.carry_out(now);
    }

    /// See [`Session::on_answer`].
    pub fn on_answer(&mut self, ticket: u64, verdict: Verdict, now: u64) {
        self.session.on_answer(ticket, verdict, now);
        self.carry_out(now);
    }

    /// See [`Session::on_drain`].
    pub fn on_drain(&mut self, after_ms: u64, now: u64) {
        self.session.on_drain(after_ms, now);
        self.carry_out(now);
    }

    /// The work of [`Work::Metrics`]: to be run by `handlers::answer`, and dropped with the connection.
    pub fn metrics(&self, query: MetricQuery, id: Option<RequestId>, now: u64) -> Running {
        let asker = match (self.session.identity(), self.address) {
            (Some(identity), _) => Asker::User(identity.sub.as_str().into()),
            (None, Some(address)) => Asker::Address(group(address)),
            (None, None) => Asker::Anyone,
        };
        let shown = self.shared.settings.ahead.wall(now);
        let outbox = self.handle.outbox.clone();
        let has_room = move |cx: &mut Context<'_>| outbox.poll_answer(&mut None, cx);
        let answer = self.shared.metrics.ask_with_room(asker, query, shown, has_room);
        let reply = async move { CustomReply::json(&answer.await.map_err(ErrorBody::from)?) };
        Running::new("metrics", reply, id, self.handle.outbox.clone())
    }

    /// What the backend is told about this client.
    fn call(&mut self, topic: Topic) -> Call {
        let connection_id = self.id.get_or_insert_with(|| self.shared.hub.new_id("s")).clone();
        let (client_id, identity) = (self.session.client_id().clone(), self.session.identity().cloned());
        Call { topic, client_id, connection_id, identity, address: self.address }
    }

    fn carry_out(&mut self, now: u64) {
        self.decide(now);
        self.flush();
    }

    /// Goes on with the requests that wait for the client to read the answers before them.
    pub fn resume(&mut self, now: u64) {
        if self.session.has_effects() {
            self.carry_out(now);
        }
    }

    /// Whether requests wait for the client to read the answers before them: nothing should be read until
    /// [`Self::resume`] has brought them about.
    pub fn is_held(&self) -> bool {
        self.session.has_effects()
    }

    /// What is to be done now. A request with a large answer waits while many answers do, and what came after it waits with
    /// it; once the session is over nobody will read its answer.
    fn next_effect(&mut self) -> Option<Effect> {
        if self.ending {
            // A join would be left by nobody.
            while self.session.poll_effect().is_some() {}
            return None;
        }
        while self.session.next_asks_much() && self.handle.outbox.is_holding() {
            if !self.session.is_closed() {
                return None;
            }
            self.session.poll_effect();
        }
        self.session.poll_effect()
    }

    /// What to answer where a room could not be joined.
    fn join_failed(&mut self, room: &RoomName, error: &JoinError) -> ErrorBody {
        if !error.keeps_membership() {
            self.session.on_join_failed(room);
        }
        let mut body = ErrorBody::new(error.code(), error.to_string());
        body.room = Some(room.to_string());
        body.retry_after_ms = error.retry_after_ms();
        body
    }

    fn decide(&mut self, now: u64) {
        let shown = self.shared.settings.ahead.wall(now);
        while let Some(effect) = self.next_effect() {
            // Answers keep the order of the requests.
            if !matches!(effect, Effect::Publish { .. }) {
                self.flush();
            }
            match effect {
                Effect::Send(frame) => self.send(frame),
                Effect::Welcome(welcome) => self.welcome(welcome, now),
                Effect::Ping => self.handle.outbox.push(Item::Ping),
                Effect::Close(code) => {
                    self.handle.outbox.close(code);
                    self.on_ending(now);
                }
                Effect::Verify(verify) => self.work.push_back(Work::Verify(verify.token)),
                Effect::Claim => self.work.push_back(Work::Claim),
                Effect::Join { request, id } => {
                    let outbox = self.handle.outbox.clone();
                    let announced = id.clone();
                    let joined = self.shared.hub.join(self.handle.id, &outbox, self.person.as_ref(), &request, now, |joined| {
                        outbox.push(text(ServerMessage::RoomJoined(joined.clone()), announced, shown));
                    });
                    if let Err(error) = joined {
                        let body = self.join_failed(&request.room, &error);
                        self.reply(ServerMessage::Error(body), id, now);
                    }
                }
                Effect::Leave { room, reason, id } => {
                    self.shared.hub.leave(self.handle.id, &room, Departure::Left, now);
                    self.reply(ServerMessage::RoomLeft(RoomLeft { room, reason }), id, now);
                }
                Effect::Publish { room, kind, data, classified, idempotency_key, ephemeral, place, id } => {
                    let mut event = self.shared.hub.new_event(&kind, data, classified);
                    let publisher = match self.session.identity() {
                        Some(identity) => Publisher::User(&identity.sub),
                        None => Publisher::Client(self.session.client_id()),
                    };
                    event.idempotency_key = idempotency_key.map(|key| publisher.key(&key));
                    event.ephemeral = ephemeral;
                    let outbox = self.handle.outbox.clone();
                    let about = room.to_string();
                    let meters = self.shared.meters.clone();
                    let done = Box::new(move |result: Result<Published, EngineError>| {
                        let message = match result {
                            Ok(published) => ServerMessage::Published(published),
                            Err(error) => {
                                meters.error(ErrorCode::Unavailable);
                                if matches!(error, EngineError::Unavailable(_)) && meters.engine_failed(now) {
                                    tracing::error!(%error, "an event was not published");
                                }
                                let body = ErrorBody::new(ErrorCode::Unavailable, error.to_string());
                                ServerMessage::Error(ErrorBody { room: Some(about), ..body })
                            }
                        };
                        outbox.push(text(message, id, shown));
                    });
                    self.publishes.push(Pending { room, event, now_ms: now, place, done });
                }
                Effect::Metrics { query, id } => self.work.push_back(Work::Metrics { query, id }),
                Effect::Presence { room, id } => {
                    let outbox = &self.handle.outbox;
                    let answer = |presence| outbox.push(text(ServerMessage::Presence(presence), id, shown));
                    self.shared.hub.tell_presence(self.handle.id, &room, answer);
                }
                Effect::History { get, limit, id } => {
                    let message = match history::page(&self.shared.hub, get.room, get.since, limit, get.reverse, now) {
                        Ok(history) => ServerMessage::History(history),
                        Err(error) => ServerMessage::Error(ErrorBody::new(ErrorCode::Unavailable, error.to_string())),
                    };
                    self.reply(message, id, now);
                }
                Effect::Custom { custom, id } => {
                    let identity = self.session.identity().cloned();
                    let client_id = self.session.client_id().clone();
                    let request = CustomRequest { client_id, identity, kind: custom.kind, payload: custom.payload };
                    match self.shared.handlers.start(request, id.clone(), self.handle.outbox.clone()) {
                        Ok(running) => self.work.push_back(Work::Custom(running)),
                        Err(request) => self.custom(*request, id, now),
                    }
                }
                Effect::Ask { ticket, question } => {
                    let call = Box::new(self.call(Topic::Question(question)));
                    self.work.push_back(Work::Ask { ticket, call });
                }
            }
        }
    }

    /// A message that no handler takes: the backend may.
    fn custom(&mut self, request: CustomRequest, id: Option<RequestId>, now: u64) {
        let CustomRequest { kind, payload, .. } = request;
        let Some(hooks) = self.shared.hooks.clone().filter(|hooks| hooks.takes(HookEvent::Custom)) else {
            let message = format!("no handler for messages of type {kind:?}{}", crate::legacy::now_called(&kind));
            return self.reply(ServerMessage::Error(ErrorBody::new(ErrorCode::UnknownType, message)), id, now);
        };
        let call = self.call(Topic::Custom { kind: kind.clone(), payload });
        let answer = async move { hooks.handle(call).await };
        let running = self.shared.handlers.running(kind, id, self.handle.outbox.clone(), answer);
        self.work.push_back(Work::Custom(running));
    }

    /// Joins the rooms of a greeting, and queues the greeting before anything of theirs.
    fn welcome(&mut self, mut welcome: Welcome, now: u64) {
        let client_id = self.session.client_id().clone();
        let mut away_ms = 0;
        if self.named.as_ref() != Some(&client_id) {
            let gone_at = self.shared.hub.registry.name_client(self.handle.id, &client_id, now);
            // A client of an earlier process was gone when this one began, at the latest.
            away_ms = now.saturating_sub(gone_at.unwrap_or(self.shared.started_ms));
            self.named = Some(client_id);
        }
        if self.person.is_none()
            && let Some(identity) = self.session.identity()
        {
            let user: Arc<str> = identity.sub.as_str().into();
            self.shared.hub.registry.name_user(self.handle.id, &user);
            self.person = Some(Person { user, info: self.session.info().cloned() });
        }
        if matches!(welcome, Welcome::Authenticated { .. }) {
            // In the rooms that it joined before the token came: whoever it was there, and whatever it might see.
            for room in self.session.rooms() {
                let sees = self.session.sees_presence(room);
                self.shared.hub.identify(self.handle.id, room, self.person.as_ref(), sees, now);
            }
        }
        let rooms: Vec<RoomRequest> = match &mut welcome {
            Welcome::Greeting { rooms, .. } | Welcome::Authenticated { rooms, .. } => std::mem::take(rooms),
        };
        // The legacy port's clients are not greeted.
        let place =
            (!self.session.is_legacy() || matches!(welcome, Welcome::Authenticated { .. })).then(|| self.handle.outbox.reserve());
        let mut results = Vec::with_capacity(rooms.len());
        for room in rooms {
            results.push(match room {
                Err(refused) => RoomResult::Refused(refused),
                Ok(request) => {
                    let (outbox, person) = (&self.handle.outbox, self.person.as_ref());
                    match self.shared.hub.join(self.handle.id, outbox, person, &request, now, |_| {}) {
                        Ok(joined) => RoomResult::Joined(joined),
                        Err(error) => {
                            let error = self.join_failed(&request.room, &error).into();
                            RoomResult::Refused(RoomRefused { room: request.room.to_string(), error })
                        }
                    }
                }
            });
        }
        if self.session.is_legacy() && results.iter().any(|result| matches!(result, RoomResult::Refused(_))) {
            self.session.on_feed_failed(now);
        }
        if let Some(place) = place {
            let frame = self.session.welcome(welcome, results, away_ms, now);
            self.handle.outbox.fill(place, encode_server(&ServerFrame::System(frame)).into());
        }
    }

    fn reply(&self, message: ServerMessage, id: Option<RequestId>, now: u64) {
        self.count_error(&message);
        let shown = self.shared.settings.ahead.wall(now);
        self.handle.outbox.push(text(message, id, shown));
    }

    fn count_error(&self, message: &ServerMessage) {
        if let ServerMessage::Error(error) = message {
            self.shared.meters.error(error.code);
        }
    }

    fn send(&self, frame: SystemFrame) {
        self.count_error(&frame.message);
        self.handle.outbox.push(Item::Text(encode_server(&ServerFrame::System(frame)).into()));
    }
}

/// Measures a batch, from here to where its last event is queued for everybody.
fn time_last(publishes: &mut [Pending], meters: &Arc<Meters>) {
    if let Some(last) = publishes.last_mut() {
        let (began, meters) = (Instant::now(), meters.clone());
        let done = std::mem::replace(&mut last.done, Box::new(|_| {}));
        last.done = Box::new(move |result| {
            meters.publish_time.observe(began.elapsed());
            done(result);
        });
    }
}

/// A message of the system, encoded.
pub(crate) fn text(message: ServerMessage, id: Option<RequestId>, now_ms: u64) -> Item {
    let frame = SystemFrame { message, id, timestamp: Timestamp(now_ms) };
    Item::Text(encode_server(&ServerFrame::System(frame)).into())
}
