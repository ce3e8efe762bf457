//! One run: clients that publish and listen, a server that is killed where the plan says, and the judgment in the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use osbackend_client_core::Rng;
use osbackend_server::auth::mint::Token;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::oracle::{Expected, Held, Oracle, Progress};
use crate::process::Server;
use crate::raw::{self, Publishes, tag};
use crate::{SECRET, sdk, soon};

/// What a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) engine: &'static str,
    pub(crate) expected: Expected,
    pub(crate) kills: u64,
    pub(crate) clients: u64,
    pub(crate) rooms: u64,
    /// New connections a second, as many at once; 0: any.
    pub(crate) connect_rate: u32,
    pub(crate) seed: u64,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Joins that recovered.
    pub(crate) recovered: u64,
    /// Joins with a position that did not.
    pub(crate) refused: u64,
    /// Publishes that were acknowledged.
    pub(crate) acknowledged: usize,
    /// From the last start until everyone was back.
    pub(crate) returned_in: Duration,
}

/// When a life ends.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// So many publishes were acknowledged, and everyone is back.
    Acks(u64),
    /// So many events were delivered, and everyone is back.
    Deliveries(u64),
    /// So many clients are back: in the middle of the storm that the last kill made.
    Returned(u64),
}

impl Kill {
    /// Two lives of three see everyone back.
    fn of(rng: &mut Rng, clients: u64) -> Self {
        let mut between = |low: u64, high: u64| low + rng.next_u64() % (high - low);
        match between(0, 3) {
            0 => Self::Acks(between(20, 120)),
            1 => Self::Deliveries(between(200, 2_000)),
            _ => Self::Returned(between(clients / 4, clients)),
        }
    }

    fn is_due(self, progress: &Progress, clients: u64) -> bool {
        let all = progress.returned >= clients;
        match self {
            Self::Acks(acks) => all && progress.acks >= acks,
            Self::Deliveries(deliveries) => all && progress.deliveries >= deliveries,
            Self::Returned(returned) => progress.returned >= returned,
        }
    }
}

/// The clients of a run, and what is told to them.
struct Crowd {
    tasks: JoinSet<()>,
    /// Whether each publisher waits for nothing.
    idle: Vec<watch::Receiver<bool>>,
    publishing: watch::Sender<bool>,
}

/// Runs a plan.
///
/// # Panics
/// With the first contradiction, the log of whom it concerns, and the seed.
pub(crate) async fn survive(plan: Plan) -> Outcome {
    let name = format!("osbackend-kills-{}-{}-{}", std::process::id(), plan.engine, plan.clients);
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    let oracle = Arc::new(Oracle::new(plan.expected));
    let mut server = Server::new(plan.engine, &dir, plan.connect_rate);
    let mut rng = Rng::new(plan.seed);
    let crowd = gather(&plan, &mut rng, &oracle, &server).await;
    let mut kills = Vec::new();
    for life in 1..=plan.kills {
        let kill = Kill::of(&mut rng, plan.clients);
        kills.push(kill);
        oracle.new_life(life);
        server.start().await;
        reached(&plan, &kills, &oracle, |progress| kill.is_due(progress, plan.clients)).await;
        server.kill().await;
    }
    oracle.new_life(plan.kills + 1);
    let began = Instant::now();
    let address = server.start().await;
    reached(&plan, &kills, &oracle, |progress| progress.returned >= plan.clients).await;
    let returned_in = began.elapsed();
    finish(&plan, &kills, &oracle, crowd, address).await;
    server.kill().await;
    // Left where it is when something failed: it is evidence then.
    std::fs::remove_dir_all(&dir).unwrap();
    let (recovered, refused, acknowledged) = oracle.totals();
    let outcome = Outcome { recovered, refused, acknowledged, returned_in };
    println!("{plan:?}: {outcome:?}");
    outcome
}

fn fail_if_violated(plan: &Plan, kills: &[Kill], oracle: &Oracle) {
    if let Some(violation) = oracle.violation() {
        panic!("KILLS_SEED={}, after the kills {kills:?}\n{violation}", plan.seed);
    }
}

async fn reached(plan: &Plan, kills: &[Kill], oracle: &Oracle, due: impl Fn(&Progress) -> bool) {
    let mut progress = oracle.progress();
    let waited = tokio::time::timeout(Duration::from_secs(60), progress.wait_for(|now| now.violated || due(now))).await;
    fail_if_violated(plan, kills, oracle);
    if waited.is_err() {
        let now = *oracle.progress().borrow();
        panic!("KILLS_SEED={}: 60 s in life {}, and {now:?} is no progress; the kills were {kills:?}", plan.seed, kills.len());
    }
}

/// Every other client is the SDK's. Four of ten publish, in all the ways there are, and each room has publishers.
async fn gather(plan: &Plan, rng: &mut Rng, oracle: &Arc<Oracle>, server: &Server) -> Crowd {
    let relay = sdk::relay(server.address()).await;
    let publishing = watch::Sender::new(true);
    let (mut tasks, mut idle) = (JoinSet::new(), Vec::new());
    for number in 0..plan.clients {
        let first = number / 2 % plan.rooms;
        let other = (first + 1 + rng.next_u64() % (plan.rooms - 1)) % plan.rooms;
        let rooms = vec![format!("agent:{first}"), format!("agent:{other}")];
        let publishes = number / 2 / plan.rooms;
        let token = Token::for_user(&format!("u{number}")).role(if publishes < 2 { "admin" } else { "user" });
        let token = token.sign(&SECRET.into()).unwrap();
        let (tell, told) = watch::channel(true);
        idle.push(told);
        let (oracle, address, publishing) = (oracle.clone(), server.address(), publishing.subscribe());
        if number % 2 == 0 {
            let publishes = match publishes {
                0 => Publishes::Once,
                1 => Publishes::UntilAcknowledged,
                _ => Publishes::Nothing,
            };
            let (name, outstanding) = (format!("raw {number}"), 1 + (rng.next_u64() % 4) as usize);
            let setup = raw::Setup { name, number, token, rooms, publishes, outstanding, oracle, address, publishing };
            tasks.spawn(raw::run(setup, tell));
        } else {
            let (name, publishes, seed) = (format!("sdk {number}"), publishes == 0, rng.next_u64());
            let setup = sdk::Setup { name, number, token, rooms, publishes, oracle, relay, address, publishing, seed };
            tasks.spawn(sdk::run(setup, tell));
        }
    }
    Crowd { tasks, idle, publishing }
}

/// Publishers stop, everyone is shown the rest, and the streams are read and compared with all that was heard.
async fn finish(plan: &Plan, kills: &[Kill], oracle: &Oracle, mut crowd: Crowd, address: std::net::SocketAddr) {
    crowd.publishing.send_replace(false);
    for idle in &mut crowd.idle {
        // A listener doesn't tell: its sender is gone.
        let _ = soon("the last acknowledgements", idle.wait_for(|idle| *idle)).await;
    }
    let mut reader = Reader::connect(address).await;
    for room in (0..plan.rooms).map(|room| format!("agent:{room}")) {
        let (epoch, events) = reader.stream(&room).await;
        reached(plan, kills, oracle, |_| oracle.all_have(&room, events.len() as u64)).await;
        oracle.check_stream(&room, &epoch, &events);
        fail_if_violated(plan, kills, oracle);
    }
    crowd.tasks.shutdown().await;
}

/// Reads whole streams by `history:get`.
struct Reader(tokio_tungstenite::WebSocketStream<TcpStream>);

impl Reader {
    async fn connect(address: std::net::SocketAddr) -> Self {
        let token = Token::for_user("reader").role("admin").sign(&SECRET.into()).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let opened = tokio_tungstenite::client_async(format!("ws://{address}/ws?token={token}"), stream).await;
        Self(opened.unwrap().0)
    }

    async fn stream(&mut self, room: &str) -> (String, Vec<(u64, Held)>) {
        let mut events: Vec<(u64, Held)> = Vec::new();
        loop {
            let since = events.last().map_or(0, |(offset, _)| *offset);
            let page = self.history(json!({"room": room, "since": since, "limit": 1000})).await;
            let before = events.len();
            events.extend(page["events"].as_array().unwrap().iter().map(|event| {
                let event_id = event["eventId"].as_str().unwrap().to_owned();
                (event["offset"].as_u64().unwrap(), Held { event_id, tag: tag(&event["data"]).unwrap() })
            }));
            if events.len() == before {
                return (page["epoch"].as_str().unwrap().to_owned(), events);
            }
        }
    }

    async fn history(&mut self, payload: Value) -> Value {
        use futures_util::{SinkExt as _, StreamExt as _};
        let get = json!({"type": "history:get", "id": 1, "payload": payload}).to_string();
        self.0.send(tokio_tungstenite::tungstenite::Message::text(get)).await.unwrap();
        loop {
            let message = soon("the history", self.0.next()).await.unwrap().unwrap();
            let Ok(text) = message.to_text() else { continue };
            let Ok(message) = serde_json::from_str::<Value>(text) else { continue };
            if message["id"] == 1 {
                assert_eq!(message["type"], "history", "{message}");
                return message["data"].clone();
            }
        }
    }
}
