//! Slow consumers (§5): who stops reading costs bounded memory, harms nobody, and has everything once it reads again.
//!
//! A thousand members are too many for sockets in a test: they are the server's own connections, read from by hand. What
//! the same does to latencies is measured by `cargo xtask bench --only slow`.

use std::collections::HashMap;
use std::sync::Arc;

use osbackend_protocol::{Identity, JsonObject, Policy, RoomName, event};
use osbackend_server::auth::{Verified, resume::ResumeKeys};
use osbackend_server::config::Config;
use osbackend_server::connection::{Connection, Shared, Work};
use osbackend_server::engine::{MemoryEngine, Pending, Retention};
use osbackend_server::gateway::frames;
use osbackend_server::hub::{Hub, presence::PresenceOptions};
use osbackend_server::metrics;
use osbackend_server::session::{Mode, SessionSettings};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{SECRET, TestServer, soon, user_token};

const NOW: u64 = 1_700_000_000_000;
const ROOM: &str = "dashboard:overview";
const HEALTHY: usize = 1_000;
const STALLED: usize = 100;
const BOUND: usize = 1_048_576;
const METRICS: usize = 20;
const PADDING: usize = 1_500;
/// Of metrics and of notes each: more than the bound by half.
const EVENTS: usize = 1_000;

fn server() -> Arc<Shared> {
    let retention = Retention { events: 3 * EVENTS, age_ms: 0 };
    let config = Config::default();
    let keys = ResumeKeys::new(&SECRET.into());
    Arc::new(Shared {
        hub: Arc::new(Hub::new(Box::new(MemoryEngine::new("p".to_owned(), retention)), "p", PresenceOptions::default())),
        settings: Arc::new(SessionSettings::new(&config, Policy::default(), keys)),
        handlers: Default::default(),
        hooks: None,
        metrics: metrics::Desk::new(Arc::new(metrics::memory::MemoryMetrics::default()), Arc::default()),
        outbox_bytes: config.limits.outbox_bytes.unwrap(),
        started_ms: NOW,
        meters: Arc::default(),
    })
}

/// What a page holds of a room.
#[derive(Default)]
struct Page {
    epoch: Value,
    offset: u64,
    newest: HashMap<String, u64>,
    notes: Vec<u64>,
}

impl Page {
    /// Takes a frame in as the SDK does, and checks that nothing is missing that no `skipped` tells of.
    fn take(&mut self, message: &Value) {
        // Who comes and goes is told beside the stream.
        if message["room"] != ROOM || message["type"].as_str().is_some_and(|kind| kind.starts_with("presence")) {
            return;
        }
        let offset = message["offset"].as_u64().unwrap();
        let skipped = message.get("skipped").map_or(0, |skipped| skipped.as_u64().unwrap());
        assert_eq!(offset, self.offset + skipped + 1, "a gap: {message}");
        self.offset = offset;
        match message["type"].as_str().unwrap() {
            "note" => self.notes.push(message["data"]["n"].as_u64().unwrap()),
            _ => {
                let values = &message["data"]["values"];
                self.newest.insert(message["data"]["metric"].to_string(), values["n"].as_u64().unwrap());
            }
        }
    }
}

struct Member {
    connection: Connection,
    page: Page,
}

impl Member {
    fn join(shared: &Arc<Shared>, user: usize, page: Page) -> Self {
        let mut connection = Connection::new(shared.clone(), Mode::V1, Ok(None), NOW);
        let mut room = json!({"room": ROOM});
        if page.epoch.is_string() {
            room = json!({"room": ROOM, "epoch": page.epoch, "offset": page.offset});
        }
        let payload = json!({"protocol": 1, "token": "t", "batch": true, "rooms": [room]});
        connection.on_text(&json!({"type": "connect", "payload": payload}).to_string(), NOW);
        assert!(matches!(connection.poll_work(), Some(Work::Verify(_))));
        let identity = Identity::new(format!("user-{user}"), Some("user"));
        connection.on_verified(Ok(Verified { identity, expires_at_ms: NOW + 3_600_000, info: None }), NOW);
        Self { connection, page }
    }

    /// Everything that waits, as the socket would send it; empty once the connection is over.
    fn read(&mut self) -> Vec<Value> {
        let mut read = Vec::new();
        loop {
            let taken = self.connection.outbox().take();
            if taken.items.is_empty() {
                return read;
            }
            for message in frames::batched(taken.items) {
                let Message::Text(text) = message else { panic!("{message:?}") };
                match serde_json::from_str(text.as_str()).unwrap() {
                    Value::Array(messages) => read.extend(messages),
                    message => read.push(message),
                }
            }
        }
    }

    fn greeted(&mut self) -> Value {
        let mut read = self.read().into_iter();
        let greeting = read.next().unwrap();
        let room = greeting["data"]["rooms"][0].clone();
        assert_eq!(room["room"], ROOM, "{greeting}");
        self.page.epoch = room["epoch"].clone();
        read.for_each(|message| self.page.take(&message));
        room
    }

    fn catch_up(&mut self) {
        for message in self.read() {
            self.page.take(&message);
        }
    }

    /// Events taken from the queue, without a look at them.
    fn skim(&mut self) -> usize {
        use osbackend_server::hub::outbox::Item;
        let items = self.connection.outbox().take().items;
        let events = |item: &Item| match item {
            Item::Event(_) => 1,
            Item::Run(run) => run.events.len(),
            _ => 0,
        };
        items.iter().map(events).sum()
    }

    fn bytes(&self) -> usize {
        self.connection.outbox().bytes()
    }

    fn ending(&self) -> Option<u16> {
        self.connection.outbox().ending().map(|code| code.code())
    }
}

fn publish(shared: &Shared, kind: &str, data: Value) {
    let data: JsonObject = serde_json::from_value(data).unwrap();
    let classified = event::classify(kind, &data).unwrap();
    let event = shared.hub.new_event(kind, data, classified);
    let done = Box::new(|result: Result<_, _>| assert!(result.is_ok()));
    shared.hub.publish_all(vec![Pending { room: RoomName::parse(ROOM).unwrap(), event, now_ms: NOW, place: None, done }]);
}

fn metric(n: usize) -> Value {
    json!({"metric": format!("m{}", n % METRICS), "values": {"n": n, "padding": "x".repeat(PADDING)}})
}

fn note(n: usize) -> Value {
    json!({"n": n, "padding": "x".repeat(PADDING)})
}

fn newest_of_all() -> HashMap<String, u64> {
    (EVENTS - METRICS..EVENTS).map(|n| (format!("\"m{}\"", n % METRICS), n as u64)).collect()
}

#[test]
fn a_hundred_that_stop_reading_among_a_thousand() {
    let shared = server();
    let mut healthy: Vec<Member> = (0..HEALTHY).map(|n| Member::join(&shared, n, Page::default())).collect();
    let mut stalled: Vec<Member> = (0..STALLED).map(|n| Member::join(&shared, HEALTHY + n, Page::default())).collect();
    for member in healthy.iter_mut().chain(&mut stalled) {
        assert_eq!(member.greeted()["recovered"], false);
    }
    let slack = 2 * PADDING;
    let mut received = vec![0; HEALTHY];
    let mut step = |kind: &str, data: Value, stalled: &[Member]| {
        publish(&shared, kind, data);
        for (member, received) in healthy.iter_mut().zip(&mut received) {
            *received += member.skim();
            assert_eq!((member.bytes(), member.ending()), (0, None));
        }
        let waiting: usize = stalled.iter().map(Member::bytes).sum();
        assert!(waiting <= STALLED * (BOUND + slack), "{waiting} bytes wait");
        waiting
    };

    // Values: what is newest of each waits, however much was published.
    let mut most = 0;
    for n in 0..EVENTS {
        most = most.max(step("metric_update", metric(n), &stalled));
    }
    const { assert!(EVENTS * PADDING > BOUND, "the test tests nothing") };
    assert!(most < STALLED * BOUND / 10, "{most} bytes waited although older values give way");
    for member in &stalled {
        assert_eq!(member.ending(), None);
        assert!(member.connection.outbox().conflated() > 0);
    }
    // Half of them read again: every key's newest value, and a count of what they were spared.
    for member in &mut stalled[..STALLED / 2] {
        member.catch_up();
        assert_eq!((&member.page.newest, member.page.offset), (&newest_of_all(), EVENTS as u64));
    }

    // Notes are never dropped: who still doesn't read is over its bound, and closed.
    for n in 0..EVENTS {
        step("note", note(n), &stalled);
        if n % 100 == 0 {
            stalled[..STALLED / 2].iter_mut().for_each(Member::catch_up);
        }
    }
    assert!(received.iter().all(|received| *received == 2 * EVENTS), "a healthy member lost something");
    let (awake, asleep) = stalled.split_at_mut(STALLED / 2);
    for member in awake.iter_mut() {
        member.catch_up();
        assert_eq!((member.ending(), member.page.notes.len()), (None, EVENTS));
    }
    for (n, member) in asleep.iter_mut().enumerate() {
        assert_eq!(member.ending(), Some(4002));
        assert!(member.read().is_empty() && member.bytes() == 0, "what is closed holds nothing");
        member.connection.on_gone(NOW);
        // It comes back with the position that it has.
        let mut again = Member::join(&shared, HEALTHY + STALLED / 2 + n, std::mem::take(&mut member.page));
        let room = again.greeted();
        assert_eq!((&room["recovered"], &room["replayed"]), (&json!(true), &json!(2 * EVENTS)));
        again.catch_up();
        assert_eq!(again.page.newest, newest_of_all());
        assert!(again.page.notes.iter().copied().eq(0..EVENTS as u64), "each note once and in order");
    }
}

/// The same with a socket that nobody reads from.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_closed_as_slow_recovers_everything() {
    let server = TestServer::with(|config| {
        config.limits.outbox_bytes = Some(64 * 1024);
        // Until a socket that can't be written to is given up, a lot is published.
        config.engine.history_size = None;
    })
    .await;
    let token = user_token("slow");
    let room = json!([{"room": "agent:7"}]);
    let mut slow = server.connecting().small_buffer().connect(json!({"token": token, "rooms": room})).await;
    let epoch = slow.expect("connection_established").await["data"]["rooms"][0]["epoch"].clone();
    let mut bystander = server.user("bob").await;
    bystander.join("agent:7").await;
    let padding = "x".repeat(32 * 1024);
    let mut sent = 0;
    // Until the server has had enough: what the sockets between them hold is not for a test to know.
    while server.handle.client_count(&RoomName::parse("agent:7").unwrap()) == 2 {
        sent += 1;
        server.handle.broadcast_to_room("agent:7", "note", &json!({"n": sent, "padding": padding})).await.unwrap();
        assert_eq!(bystander.expect("note").await["data"]["n"], sent);
        assert!(sent < 10_000, "nobody is ever too slow");
    }
    assert!(sent > 2);
    // A close frame that finds no room is not waited for long: then the connection just ends.
    let mut read = 0;
    while let Some(Ok(message)) = soon("its end", futures_util::StreamExt::next(&mut slow.socket)).await {
        match message {
            Message::Text(text) => match serde_json::from_str(text.as_str()).unwrap() {
                Value::Array(messages) => read += messages.iter().filter(|message| message["type"] == "note").count() as u64,
                message => read += u64::from(message["type"] == "note"),
            },
            Message::Close(frame) => assert_eq!(frame.map(|frame| u16::from(frame.code)), Some(4002)),
            _ => {}
        }
    }
    assert!(read < sent);
    // What the system took beside the outbox: megabytes where nothing bounds it (`tcp_wmem`).
    assert!(read * 32 <= 512, "the system held {} KiB of a socket that nobody reads from", read * 32);
    let rooms = json!([{"room": "agent:7", "epoch": epoch, "offset": read}]);
    let mut again = server.connecting().connect(json!({"token": token, "rooms": rooms})).await;
    let room = again.expect("connection_established").await["data"]["rooms"][0].clone();
    assert_eq!((&room["recovered"], &room["replayed"]), (&json!(true), &json!(sent - read)));
    for n in read + 1..=sent {
        assert_eq!(again.expect("note").await["data"]["n"], n);
    }
    bystander.is_alive().await;
}
