//! What the tests of the engines share: a hub on an engine, a clock that is set, and a directory of a test's own.

use super::{Engine, EngineError, Pending, Place, Position, Refused, Retention, Retentions};
use crate::hub::{
    Hub, JoinRequest,
    event::{NewEvent, StoredEvent},
    outbox::{Item, Outbox},
    presence::{Departure, PresenceOptions},
    registry::ConnectionId,
};
use osbackend_protocol::{Classified, DeliveryClass, JsonObject, Published, RoomJoined, RoomName};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
};

pub(crate) fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("a room's name")
}

pub(crate) fn keep(events: usize, age_ms: u64) -> Retentions {
    Retention { events, age_ms }.into()
}

/// An event with a number in it.
pub(crate) fn event(n: u64) -> NewEvent {
    NewEvent {
        kind: "note".into(),
        data: JsonObject::parse(&format!(r#"{{"n":{n}}}"#)).expect("an object"),
        classified: Classified { class: DeliveryClass::Reliable, key: None },
        event_id: format!("e-{n}").into(),
        ephemeral: false,
        idempotency_key: None,
    }
}

/// One of the class *latest*.
pub(crate) fn keyed(n: u64, key: &str) -> NewEvent {
    NewEvent { classified: Classified { class: DeliveryClass::Latest, key: Some(key.to_owned()) }, ..event(n) }
}

pub(crate) fn once(n: u64, key: &str) -> NewEvent {
    NewEvent { idempotency_key: Some(key.to_owned()), ..event(n) }
}

/// Milliseconds since 1970, as the test says.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_700_000_000_000)))
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) fn function(&self) -> Arc<dyn Fn() -> u64 + Send + Sync> {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

/// A hub whose answers are waited for.
pub(crate) struct TestHub {
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Clock,
    connections: AtomicU64,
}

impl TestHub {
    pub(crate) fn new(engine: Box<dyn Engine>, clock: Clock) -> Self {
        Self { hub: Hub::shared(engine, "test", PresenceOptions::default()), clock, connections: AtomicU64::new(0) }
    }

    pub(crate) fn publish(&self, to: &str, event: NewEvent) -> Result<Published, EngineError> {
        let (tell, told) = mpsc::channel();
        let done = Box::new(move |result| tell.send(result).expect("the test waits"));
        self.hub.publish(room(to), event, self.clock.now(), done);
        told.recv().expect("every publish is answered")
    }

    /// Publishes an event that has a place in its connection's order.
    pub(crate) fn publish_in(
        &self,
        to: &str,
        event: NewEvent,
        refused: &Arc<Refused>,
        key: &str,
        after: Option<&str>,
    ) -> Result<Published, EngineError> {
        let (tell, told) = mpsc::channel();
        let place = Place { refused: refused.clone(), key: Some(key.to_owned()), after: after.map(str::to_owned) };
        let done = Box::new(move |result| tell.send(result).expect("the test waits"));
        self.hub.publish_all(vec![Pending { room: room(to), event, now_ms: self.clock.now(), place: Some(place), done }]);
        told.recv().expect("every publish is answered")
    }

    /// Publishes these numbers; each must be given its own as offset.
    pub(crate) fn notes(&self, to: &str, numbers: std::ops::RangeInclusive<u64>) {
        for n in numbers {
            assert_eq!(self.publish(to, event(n)).expect("published").offset, Some(n));
        }
    }

    pub(crate) fn join(&self, to: &str, epoch: &str, offset: u64) -> Member<'_> {
        self.enter(to, Some(Position { epoch: epoch.to_owned(), offset }))
    }

    pub(crate) fn enter(&self, to: &str, position: Option<Position>) -> Member<'_> {
        let connection = ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed));
        let (outbox, room) = (Arc::new(Outbox::new(0)), room(to));
        let (room_of_request, presence, returning) = (room.clone(), false, false);
        let request =
            JoinRequest { room: room_of_request, position, snapshot: true, max_clients: None, presence, returning, own: false };
        let joined = self.hub.join(connection, &outbox, None, &request, self.clock.now(), |_| {}).expect("joined");
        Member { hub: self, connection, outbox, room, joined }
    }

    pub(crate) fn epoch(&self, to: &str) -> String {
        self.enter(to, None).joined.epoch.clone()
    }

    /// Twice, as a room that was used since the last sweep stays.
    pub(crate) fn sweep(&self) {
        (0..2).for_each(|_| self.hub.sweep(self.clock.now()));
    }
}

impl Drop for TestHub {
    /// Not by the hub's own drop: the writer may hold it a moment longer than the test does.
    fn drop(&mut self) {
        self.hub.stop();
    }
}

/// Somebody in a room, until dropped.
pub(crate) struct Member<'a> {
    hub: &'a TestHub,
    connection: ConnectionId,
    outbox: Arc<Outbox>,
    room: RoomName,
    pub(crate) joined: RoomJoined,
}

impl Member<'_> {
    /// What has come.
    pub(crate) fn events(&self) -> Vec<Arc<StoredEvent>> {
        let items = std::iter::repeat_with(|| self.outbox.take().items).take_while(|items| !items.is_empty()).flatten();
        let mut events = Vec::new();
        for item in items {
            match item {
                Item::Event(queued) => events.push(queued.event),
                Item::Run(run) => events.extend(run.events.iter().cloned()),
                other => panic!("no event: {other:?}"),
            }
        }
        events
    }

    pub(crate) fn offsets(&self) -> Vec<u64> {
        self.events().iter().filter_map(|event| event.offset).collect()
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.hub.hub.leave(self.connection, &self.room, Departure::Left, self.hub.clock.now());
    }
}

/// Gone when dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("osbackend-engine-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // One that stays is in the system's directory for such.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
