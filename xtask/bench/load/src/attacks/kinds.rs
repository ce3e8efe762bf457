//! The attacks: each loops over one thing that a client from one address may try, with one ordinary token or none.
//!
//! A refusal is what an attack is meant to get. It goes on after one, as an attacker does, after a short breath.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::net::{ATTACKER, Socket, call, request, tcp, upgrade};

/// What an attack aims at.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) ws: SocketAddr,
    pub(super) http: SocketAddr,
    /// A token of one ordinary user.
    pub(super) token: String,
    /// Of an administrator, for what is stored before the attack.
    pub(super) admin: String,
}

/// Every attack, by name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attack {
    Connects,
    SlowConnects,
    Greetings,
    Rejoins,
    Joins,
    Tokens,
    Metrics,
    History,
    Rooms,
    Status,
    Silence,
}

pub(super) const ALL: [(Attack, &str); 11] = [
    (Attack::Connects, "connects and resets, two sockets at a time"),
    (Attack::SlowConnects, "the same, 700 a second"),
    (Attack::Greetings, "arrays of greetings with bad rooms, without a token"),
    (Attack::Rejoins, "greetings that join 100 rooms again"),
    (Attack::Joins, "joins of random rooms"),
    (Attack::Tokens, "invented tokens"),
    (Attack::Metrics, "99 questions for metrics a connection, which goes"),
    (Attack::History, "pages of history that nobody reads"),
    (Attack::Rooms, "histories of rooms that do not exist"),
    (Attack::Status, "the status, anonymously"),
    (Attack::Silence, "HTTP connections that say nothing"),
];

/// Sockets, or loops, of one attack at a time.
const LOOPS: usize = 4;
const ROOMS: usize = 100;
/// After a refusal.
const BREATH: Duration = Duration::from_millis(20);

impl Attack {
    /// Stores what the attack then reads.
    pub(super) async fn prepare(self, target: &Target) -> Result<()> {
        match self {
            Self::Rejoins => {
                for room in 0..ROOMS {
                    let events: Vec<_> = (0..500).map(|n| note(&format!("agent:{room}"), n, 60)).collect();
                    publish(target, "broadcast", &json!(events)).await?;
                }
            }
            Self::History => {
                for _ in 0..30 {
                    let events: Vec<_> = (0..10).map(|n| note("agent:big", n, 60_000)).collect();
                    publish(target, "broadcast", &json!(events)).await?;
                }
            }
            Self::Metrics => {
                for _ in 0..20 {
                    let point = |n: usize| json!({"type": "metric_update", "data": {"metric": format!("customer_{n}"), "values": {"calls": n}}});
                    publish(target, "events", &json!((0..500).map(point).collect::<Vec<_>>())).await?;
                }
            }
            Self::Status => {
                for some in 0..20 {
                    let events: Vec<_> = (0..500).map(|n| note(&format!("agent:{some}-{n}"), n, 1)).collect();
                    publish(target, "broadcast", &json!(events)).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Attacks until it is dropped.
    pub(super) async fn run(self, target: Target) {
        let loops = match self {
            Self::Connects | Self::SlowConnects => 2,
            Self::Silence => 300,
            Self::History => 20,
            _ => LOOPS,
        };
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..loops {
            let target = target.clone();
            tasks.spawn(async move {
                loop {
                    if self.once(&target, number).await.is_err() {
                        tokio::time::sleep(BREATH).await;
                    }
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn once(self, target: &Target, number: usize) -> Result<()> {
        match self {
            Self::Connects => connect_and_reset(target, Duration::from_micros(500)).await,
            Self::SlowConnects => connect_and_reset(target, Duration::from_micros(2800)).await,
            Self::Greetings => greetings(target).await,
            Self::Rejoins => rejoins(target).await,
            Self::Joins => joins(target, number).await,
            Self::Tokens => tokens(target).await,
            Self::Metrics => metrics(target).await,
            Self::History => unread_history(target).await,
            Self::Rooms => unknown_rooms(target, number).await,
            Self::Status => status(target).await,
            Self::Silence => silence(target).await,
        }
    }
}

fn note(room: &str, number: usize, bytes: usize) -> serde_json::Value {
    json!({"room": room, "type": "note", "data": {"n": number, "pad": "x".repeat(bytes)}})
}

async fn publish(target: &Target, to: &str, events: &serde_json::Value) -> Result<()> {
    let path = format!("/api/ws/{to}");
    let (status, body) = call(target.http, super::net::OTHERS, "POST", &path, Some(&target.admin), &events.to_string()).await?;
    anyhow::ensure!(status == 200, "{path}: {status} {body}");
    Ok(())
}

async fn connect_and_reset(target: &Target, held: Duration) -> Result<()> {
    let mut stream = tcp(target.ws, ATTACKER, None).await?;
    stream.write_all(upgrade(None).as_bytes()).await?;
    tokio::time::sleep(held).await;
    Ok(stream.set_zero_linger()?)
}

async fn greetings(target: &Target) -> Result<()> {
    let rooms = vec![r#"{"room":""}"#; 480].join(",");
    let one = format!(r#"{{"type":"connect","payload":{{"protocol":1,"rooms":[{rooms}]}}}}"#);
    let frame = format!("[{}]", vec![one; 10].join(","));
    let mut socket = Socket::open(target.ws, ATTACKER, None, Some(65_536)).await?;
    loop {
        socket.send(&frame).await?;
        socket.swallow(62_000).await?;
    }
}

async fn rejoins(target: &Target) -> Result<()> {
    let names: Vec<_> = (0..ROOMS).map(|room| json!({"room": format!("agent:{room}")})).collect();
    let mut socket = Socket::open(target.ws, ATTACKER, Some(&target.token), Some(32_768)).await?;
    socket.send(&json!({"type": "connect", "payload": {"protocol": 1, "rooms": names}}).to_string()).await?;
    let greeting: serde_json::Value = serde_json::from_str(&socket.expect("connection_established").await?)?;
    let epoch = |room: usize| greeting["data"]["rooms"][room]["epoch"].clone();
    let at = |offset: u64| {
        let rooms: Vec<_> =
            (0..ROOMS).map(|room| json!({"room": format!("agent:{room}"), "epoch": epoch(room), "offset": offset})).collect();
        json!({"type": "connect", "payload": {"protocol": 1, "rooms": rooms}}).to_string()
    };
    let (all, none) = (at(0), at(500));
    for _ in 0..3 {
        socket.send(&all).await?;
    }
    loop {
        socket.send(&none).await?;
        socket.swallow(1_000).await?;
    }
}

async fn joins(target: &Target, number: usize) -> Result<()> {
    let mut socket = Socket::open(target.ws, ATTACKER, Some(&target.token), None).await?;
    for n in 0_u64.. {
        let room = format!("agent:{number}-{n}");
        let request = json!([
            {"type": "join", "payload": {"room": room}, "id": n},
            {"type": "leave", "payload": {"room": room}, "id": n},
        ]);
        socket.send(&request.to_string()).await?;
        socket.swallow(100).await?;
    }
    Ok(())
}

async fn tokens(target: &Target) -> Result<()> {
    let mut socket = Socket::open(target.ws, ATTACKER, None, None).await?;
    let (head, _) = target.token.rsplit_once('.').unwrap_or_default();
    socket.send(&json!({"type": "auth", "payload": {"token": format!("{head}.AAAA")}, "id": 1}).to_string()).await?;
    socket.swallow(1_000_000).await
}

async fn metrics(target: &Target) -> Result<()> {
    let mut socket = Socket::open(target.ws, ATTACKER, Some(&target.token), None).await?;
    socket.expect("connection_established").await?;
    let question = |id: usize| json!({"type": "metrics:get", "payload": {"startDate": "2020-01-01", "limit": 1000}, "id": id});
    socket.send(&json!((0..99).map(question).collect::<Vec<_>>()).to_string()).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    socket.reset()
}

async fn unread_history(target: &Target) -> Result<()> {
    let mut stream = tcp(target.http, ATTACKER, Some(4_096)).await?;
    let path = "/api/ws/rooms/agent:big/history?limit=1000";
    stream.write_all(request("GET", path, Some(&target.token), "", "keep-alive").as_bytes()).await?;
    // Held until the server has had enough: the first byte is all that is read.
    stream.readable().await?;
    let mut probe = tokio::time::interval(Duration::from_millis(200));
    loop {
        probe.tick().await;
        stream.write_all(b"\r\n").await?;
    }
}

async fn unknown_rooms(target: &Target, number: usize) -> Result<()> {
    let mut stream = tcp(target.http, ATTACKER, None).await?;
    let mut answers = vec![0; 64 * 1024];
    for n in 0_u64.. {
        let batch: String = (0..16)
            .map(|k| {
                request("GET", &format!("/api/ws/rooms/agent:{number}-{n}-{k}/history"), Some(&target.token), "", "keep-alive")
            })
            .collect();
        stream.write_all(batch.as_bytes()).await?;
        anyhow::ensure!(stream.read(&mut answers).await? > 0, "closed");
    }
    Ok(())
}

async fn status(target: &Target) -> Result<()> {
    let mut stream = tcp(target.http, ATTACKER, None).await?;
    let mut answers = vec![0; 64 * 1024];
    loop {
        stream.write_all(request("GET", "/api/ws/status", None, "", "keep-alive").as_bytes()).await?;
        anyhow::ensure!(stream.read(&mut answers).await? > 0, "closed");
    }
}

async fn silence(target: &Target) -> Result<()> {
    let stream = tcp(target.http, ATTACKER, None).await?;
    // Readable is what it becomes when the server closes it.
    Ok(stream.readable().await?)
}
