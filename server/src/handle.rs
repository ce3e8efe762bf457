//! The handle with which the rest of the process talks to the server: publish, count, disconnect, drain.

use crate::{
    auth::{AuthError, Authenticator, Verified},
    clock::Clock,
    connection::Shared,
    engine::{EngineError, Pending},
    handlers::{Answer, CustomRequest},
    history,
    hooks::Hooks,
    hub::{
        RoomStatus,
        event::NewEvent,
        registry::{drain_slots, drain_window},
    },
    metrics::{Asker, MetricQuery, QueryError},
    publisher::Publisher,
    telemetry::{Exposition, meters::Via},
};
use osbackend_protocol::{
    Action, CloseCode, DomainEvent, EventError, Identity, JsonObject, Published, RoomName, RoomNameError, allowed,
    event::{self, AgentStatusChange, ClipPlayed, MetricUpdate, MetricValue, TrainingMilestone, VoiceCloneProgress},
    metrics::Metrics,
    permission::Denied,
    server_msg::{History, Presence},
};
use serde::Serialize;
use std::{
    future::Future,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long a drain waits, after its window, for the last close handshakes.
const DRAIN_GRACE: Duration = Duration::from_secs(3);

/// Why an event was not published.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// The event's name or data.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The room's name.
    #[error("room: {0}")]
    Room(#[from] RoomNameError),
    /// The data is no JSON object.
    #[error("data: {0}")]
    Data(String),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Where a domain event went: one entry a room, all with the same event id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// Its place in each room.
    pub rooms: Vec<Published>,
    /// Its id.
    pub event_id: String,
}

/// A domain event that was checked, and the rooms it goes to; see [`Handle::check_json`].
#[derive(Clone, Debug)]
pub struct Emission {
    rooms: Vec<RoomName>,
    event: NewEvent,
}

impl Emission {
    /// The rooms that it will be published into.
    pub fn rooms(&self) -> &[RoomName] {
        &self.rooms
    }

    /// With this key of this publisher, emitting it again within five minutes stores nothing new.
    pub(crate) fn with_key(mut self, publisher: Publisher<'_>, key: &str) -> Self {
        self.event.idempotency_key = Some(publisher.key(key));
        self
    }
}

/// What goes on, in sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Version of the server.
    pub version: &'static str,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Name of the engine.
    pub engine: &'static str,
    /// Connections.
    pub total_clients: usize,
    /// Those with a user.
    pub authenticated_clients: usize,
    /// Events published so far.
    pub published: u64,
    /// Rooms in memory.
    pub rooms: usize,
    /// Connections in rooms, summed over the rooms.
    pub memberships: usize,
}

/// What goes on (§9, status), with the rooms.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Version of the server.
    pub version: &'static str,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Name of the engine.
    pub engine: &'static str,
    /// Connections.
    pub total_clients: usize,
    /// Those with a user.
    pub authenticated_clients: usize,
    /// Events published so far.
    pub published: u64,
    /// Rooms in memory.
    pub rooms: Vec<RoomStatus>,
}

/// A cheap copy of the server's insides; clone it into handlers and tasks.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    authenticator: Arc<Authenticator>,
    clock: Clock,
    /// New connections a second that a successor is taken to let in; `None`: any number.
    connect_rate: Option<u32>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>, authenticator: Authenticator, clock: Clock) -> Self {
        Self { shared, authenticator: Arc::new(authenticator), clock, connect_rate: None }
    }

    pub(crate) fn with_connect_rate(self, connect_rate: Option<u32>) -> Self {
        Self { connect_rate, ..self }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn authenticator(&self) -> &Arc<Authenticator> {
        &self.authenticator
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The server's clock, which never goes back: milliseconds since 1970, or more once the system's clock was set back.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The system's time, in milliseconds since 1970.
    pub(crate) fn wall_ms(&self) -> u64 {
        self.clock.wall_ms()
    }

    /// Publishes `metric_update` to `dashboard:overview`.
    pub async fn emit_metric_update<K: Into<String>, V: Into<MetricValue>>(
        &self,
        metric: impl Into<String>,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Emitted, PublishError> {
        let values = values.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self.emit(DomainEvent::MetricUpdate(MetricUpdate { metric: metric.into(), values })).await
    }

    /// Publishes `agent_status_change` to `agent:{agentId}` and `dashboard:overview`.
    pub async fn emit_agent_status_change(&self, change: AgentStatusChange) -> Result<Emitted, PublishError> {
        self.emit(DomainEvent::AgentStatusChange(change)).await
    }

    /// Publishes `voice_clone_progress` to `user:{userId}` and `voice:training`.
    pub async fn emit_voice_clone_progress(&self, progress: VoiceCloneProgress) -> Result<Emitted, PublishError> {
        self.emit(DomainEvent::VoiceCloneProgress(progress)).await
    }

    /// Publishes `training_milestone` to `voice:training` and `user:{userId}`.
    pub async fn emit_training_milestone(&self, milestone: TrainingMilestone) -> Result<Emitted, PublishError> {
        self.emit(DomainEvent::TrainingMilestone(milestone)).await
    }

    /// Publishes `clip_played` to `clips:analytics`.
    pub async fn emit_clip_played(&self, clip: ClipPlayed) -> Result<Emitted, PublishError> {
        self.emit(DomainEvent::ClipPlayed(clip)).await
    }

    /// Publishes a domain event to its rooms (§4).
    pub async fn emit(&self, event: DomainEvent) -> Result<Emitted, PublishError> {
        event.validate()?;
        let rooms = event.rooms()?;
        let data = event.data().map_err(|error| PublishError::Data(error.to_string()))?;
        let event = self.shared.hub.new_event(event.kind(), data, event.classify());
        self.emit_one(Emission { rooms, event }).await
    }

    /// As [`Self::emit`], for events that happened before: each with its time, in milliseconds since 1970, oldest first, all
    /// under way at once. For the demo only: a stream whose times go backwards would forget by age what it should keep.
    pub(crate) async fn emit_dated(&self, events: &[(DomainEvent, u64)]) -> Result<(), PublishError> {
        let mut dated = Vec::with_capacity(events.len());
        for (event, at_ms) in events {
            event.validate()?;
            let data = event.data().map_err(|error| PublishError::Data(error.to_string()))?;
            let new = self.shared.hub.new_event(event.kind(), data, event.classify());
            dated.extend(event.rooms()?.into_iter().map(|room| (room, new.clone(), *at_ms)));
        }
        self.publish_at(dated.into_iter()).await.map(drop)
    }

    /// Publishes a domain event given by name, with its data as it came: fields that the type doesn't have are kept.
    pub async fn emit_json(&self, kind: &str, data: JsonObject) -> Result<Emitted, PublishError> {
        let emission = self.check_json(kind, data)?;
        self.emit_one(emission).await
    }

    /// A domain event given by name, checked: [`Self::emit_all`] publishes it.
    ///
    /// # Errors
    /// No domain event has this name, or its data is wrong.
    pub fn check_json(&self, kind: &str, data: JsonObject) -> Result<Emission, EventError> {
        let event = DomainEvent::parse(kind, data.get()).unwrap_or_else(|| {
            let message =
                format!("{kind:?} is no domain event; use one of {}, or broadcast it to a room", event::DOMAIN_TYPES.join(", "));
            Err(EventError { path: "type".to_owned(), message })
        })?;
        Ok(Emission { rooms: event.rooms()?, event: self.shared.hub.new_event(kind, data, event.classify()) })
    }

    async fn emit_one(&self, emission: Emission) -> Result<Emitted, PublishError> {
        let mut emitted = self.emit_all(vec![emission]).await?;
        emitted.pop().ok_or_else(|| EngineError::unavailable("the event store gave no answer").into())
    }

    /// Publishes events in this order, all of them or none: a durable engine commits them in one transaction.
    ///
    /// # Errors
    /// The engine can't serve now. Where it stopped under way, it may have stored them: with idempotency keys they can be
    /// published again.
    pub async fn emit_all(&self, emissions: Vec<Emission>) -> Result<Vec<Emitted>, PublishError> {
        let counts: Vec<usize> = emissions.iter().map(|emission| emission.rooms.len()).collect();
        let to_rooms = emissions
            .into_iter()
            .flat_map(|Emission { rooms, event }| rooms.into_iter().map(move |room| (room, event.clone())))
            .collect();
        let mut published = self.publish_events(to_rooms).await?.into_iter();
        let emitted = counts.into_iter().map(|rooms| {
            let rooms: Vec<Published> = published.by_ref().take(rooms).collect();
            // That of the first time, where the event was published before with its idempotency key.
            let event_id = rooms.first().map(|place| place.event_id.clone()).unwrap_or_default();
            Emitted { rooms, event_id }
        });
        Ok(emitted.collect())
    }

    /// Publishes these in order, and waits for all of them; the first failure, if there is one.
    pub(crate) async fn publish_events(&self, events: Vec<(RoomName, NewEvent)>) -> Result<Vec<Published>, PublishError> {
        let now_ms = self.now_ms();
        self.publish_at(events.into_iter().map(|(room, event)| (room, event, now_ms))).await
    }

    async fn publish_at(&self, events: impl Iterator<Item = (RoomName, NewEvent, u64)>) -> Result<Vec<Published>, PublishError> {
        let began = Instant::now();
        let (pending, told): (Vec<_>, Vec<_>) = events
            .map(|(room, event, now_ms)| {
                let (tell, told) = oneshot::channel();
                let done = Box::new(move |result| {
                    // Nobody waits any more when the caller was cancelled; the event is published all the same.
                    let _ = tell.send(result);
                });
                (Pending { room, event, now_ms, place: None, done }, told)
            })
            .unzip();
        self.shared.hub.publish_all(pending);
        let mut published = Vec::with_capacity(told.len());
        for told in told {
            let result = told.await.unwrap_or_else(|_| Err(EngineError::unavailable("the engine stopped")));
            self.shared.meters.publish_time.observe(began.elapsed());
            published.push(result.inspect_err(|error| {
                if self.shared.meters.engine_failed(self.now_ms()) {
                    tracing::error!(%error, "an event was not published");
                }
            }));
        }
        Ok(published.into_iter().collect::<Result<_, _>>()?)
    }

    /// Publishes an event of any name to the user's own room, `user:{sub}`.
    pub async fn send_to_user<T: Serialize + ?Sized>(&self, sub: &str, kind: &str, data: &T) -> Result<Published, PublishError> {
        self.publish(RoomName::of_user(sub)?, kind, data, None).await
    }

    /// Publishes an event of any name to a room.
    pub async fn broadcast_to_room<T: Serialize + ?Sized>(
        &self,
        room: &str,
        kind: &str,
        data: &T,
    ) -> Result<Published, PublishError> {
        self.publish(RoomName::parse(room)?, kind, data, None).await
    }

    /// Publishes an event; with an idempotency key, publishing it again within five minutes stores nothing new.
    pub async fn publish<T: Serialize + ?Sized>(
        &self,
        room: RoomName,
        kind: &str,
        data: &T,
        idempotency_key: Option<String>,
    ) -> Result<Published, PublishError> {
        self.publish_as(Publisher::Server, room, kind, data, idempotency_key).await
    }

    /// As [`Self::publish`]; the key is the publisher's own.
    pub(crate) async fn publish_as<T: Serialize + ?Sized>(
        &self,
        publisher: Publisher<'_>,
        room: RoomName,
        kind: &str,
        data: &T,
        idempotency_key: Option<String>,
    ) -> Result<Published, PublishError> {
        let data = JsonObject::from_serialize(data).map_err(|error| PublishError::Data(error.to_string()))?;
        let classified = event::classify(kind, &data)?;
        let mut event = self.shared.hub.new_event(kind, data, classified);
        event.idempotency_key = idempotency_key.map(|key| publisher.key(&key));
        let mut published = self.publish_events(vec![(room, event)]).await?;
        published.pop().ok_or_else(|| EngineError::unavailable("the event store gave no answer").into())
    }

    /// Sets the handler for client messages of type `kind` (`*`: of all types that have none). Its answer goes back to the
    /// client; a panic closes that client's connection only.
    pub fn on_custom_message<F, Fut>(&self, kind: &str, handler: F)
    where
        F: Fn(CustomRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        self.shared.handlers.set(kind, handler);
    }

    /// The application's backend, where `WEBHOOK_URL` names one.
    pub fn hooks(&self) -> Option<&Hooks> {
        self.shared.hooks.as_ref()
    }

    /// Checks a user's token.
    pub async fn authenticate(&self, token: &str) -> Result<Verified, AuthError> {
        self.authenticate_from(token, None).await
    }

    /// Checks the token of a user at this address: how often a source elsewhere is asked for it is bounded.
    ///
    /// # Errors
    /// The token was not accepted.
    pub async fn authenticate_from(&self, token: &str, address: Option<IpAddr>) -> Result<Verified, AuthError> {
        let began = Instant::now();
        let result = self.authenticator.verify_from(token, address).await;
        self.shared.meters.verified(Via::Api, &result, began.elapsed());
        result
    }

    /// Whether `identity` may do `action` in `room` under this server's policy.
    pub fn allowed(&self, identity: Option<&Identity>, room: &RoomName, action: Action) -> Result<(), Denied> {
        allowed(&self.shared.settings.policy, identity, room, action)
    }

    /// The totals: what costs the same however many rooms there are.
    pub fn totals(&self) -> Totals {
        let counts = self.shared.hub.registry.counts();
        let (rooms, memberships) = self.shared.hub.totals();
        Totals {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.now_ms().saturating_sub(self.shared.started_ms) / 1000,
            engine: self.shared.hub.engine_name(),
            total_clients: counts.total,
            authenticated_clients: counts.authenticated,
            published: self.shared.hub.published(),
            rooms,
            memberships,
        }
    }

    /// Totals and rooms; looks at every room.
    pub fn stats(&self) -> Stats {
        let Totals { version, uptime_seconds, engine, total_clients, authenticated_clients, published, .. } = self.totals();
        let rooms = self.shared.hub.rooms();
        Stats { version, uptime_seconds, engine, total_clients, authenticated_clients, published, rooms }
    }

    /// The metrics of this server for Prometheus; `exposition().text()` is what `/metrics` answers.
    pub fn exposition(&self) -> Exposition {
        Exposition::new(self.shared.clone())
    }

    /// Whether the event store can serve; why not.
    pub fn engine_ready(&self) -> Result<(), EngineError> {
        self.shared.hub.engine_ready()
    }

    /// Stores what was published so far, and closes the engine's files; what is published later is refused. Blocks while
    /// the disk is written. Dropping the server does the same.
    pub fn stop(&self) {
        self.shared.hub.stop();
    }

    /// Whether [`Self::drain`] was called: the server takes no new connections.
    pub fn is_draining(&self) -> bool {
        self.shared.hub.registry.is_draining()
    }

    /// Connections in a room.
    pub fn client_count(&self, room: &RoomName) -> usize {
        self.shared.hub.client_count(room)
    }

    /// Who is in a room.
    pub fn presence(&self, room: RoomName) -> Presence {
        self.shared.hub.presence(&room)
    }

    /// Events that a room still holds; see `history:get` (§3).
    pub fn history(&self, room: RoomName, since: Option<u64>, limit: usize, reverse: bool) -> Result<History, EngineError> {
        history::page(&self.shared.hub, room, since, limit, reverse, self.now_ms())
    }

    /// Stored points or aggregates of metrics, newest last; see `metrics:get` (§3). The application's own questions wait for each
    /// other, as those of a user do.
    ///
    /// # Errors
    /// The store can't be read now, reading took too long, too many questions wait, or a point is larger than an answer.
    pub async fn metrics(&self, query: MetricQuery) -> Result<Metrics, QueryError> {
        self.metrics_for(Asker::Application, query).await
    }

    /// The same for someone.
    pub(crate) async fn metrics_for(&self, asker: Asker, query: MetricQuery) -> Result<Metrics, QueryError> {
        self.shared.metrics.ask(asker, query, self.wall_ms()).await
    }

    /// Closes every connection of a user with 4505; how many there were.
    pub fn disconnect_user(&self, sub: &str) -> usize {
        let connections = self.shared.hub.registry.of_user(sub);
        connections.iter().for_each(|connection| connection.outbox.close(CloseCode::Disconnected));
        connections.len()
    }

    /// Closes a client's connection with 4505; whether there was one.
    pub fn disconnect_client(&self, client_id: &str) -> bool {
        let connection = self.shared.hub.registry.of_client(client_id);
        connection.inspect(|connection| connection.outbox.close(CloseCode::Disconnected)).is_some()
    }

    /// How long [`Self::drain`] would spread the clients that are connected now.
    pub fn drain_window(&self, most: Duration) -> Duration {
        drain_window(self.shared.hub.registry.counts().total, self.connect_rate, most)
    }

    /// Tells every client when to reconnect, closes each with 1012 at its time, and returns when all are gone. They are spread over
    /// `most`, or over less where there are few: by half of `CONNECT_RATE`. From its beginning on `/ws` and the API answer with 503:
    /// who comes back goes to a successor, or tries again.
    pub async fn drain(&self, most: Duration) {
        let connections = self.shared.hub.registry.begin_drain();
        let window = drain_window(connections.len(), self.connect_rate, most);
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(clients = connections.len(), window_ms, "draining");
        for (connection, slot) in connections.iter().zip(drain_slots(connections.len(), window_ms)) {
            connection.drain(slot);
        }
        let gone = std::future::poll_fn(|cx| self.shared.hub.registry.poll_empty(cx));
        if tokio::time::timeout(window + DRAIN_GRACE, gone).await.is_ok() {
            tracing::info!("drained: every client is gone");
        } else {
            tracing::warn!(clients = self.shared.hub.registry.counts().total, "some clients did not close in time");
        }
        // The last clients' departures are news too.
        if let Some(hooks) = &self.shared.hooks {
            hooks.flush().await;
        }
    }
}
