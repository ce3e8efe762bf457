//! Thousands of the SDK's native clients, each in two rooms of its own, and when each of them is back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use osbackend_client::{BackoffConfig, Client, ConnectionState, Incoming, Notice, RoomStatus};
use serde_json::json;
use tokio::sync::mpsc;

use crate::token;

/// Started one after the other with this between them: a start is not what is measured.
const BETWEEN_STARTS: Duration = Duration::from_millis(1);

/// A client has a session with both of its rooms.
pub(crate) struct Back {
    pub(crate) client: usize,
    /// When the session was greeted.
    pub(crate) at: Instant,
    pub(crate) authenticated: bool,
    /// Whether the server took up the session from before.
    pub(crate) resumed: bool,
    /// Whether both rooms were joined without having missed anything.
    pub(crate) recovered: bool,
}

/// The clients, and what they tell.
pub(crate) struct Crowd {
    pub(crate) size: usize,
    pub(crate) returns: mpsc::UnboundedReceiver<Back>,
    /// Dropping them ends them.
    _clients: Vec<Client>,
}

/// The SDK's own settings, all times multiplied with `scale`.
pub(crate) fn backoff(scale: f64) -> BackoffConfig {
    let sdk = BackoffConfig::default();
    let scaled = |ms: u64| (ms as f64 * scale) as u64;
    BackoffConfig {
        initial_ms: scaled(sdk.initial_ms),
        max_ms: scaled(sdk.max_ms),
        reset_after_ms: scaled(sdk.reset_after_ms),
        ..sdk
    }
}

/// The rooms of a client: nobody else's.
pub(crate) fn rooms(client: usize) -> [String; 2] {
    [format!("agent:{}", 2 * client), format!("agent:{}", 2 * client + 1)]
}

impl Crowd {
    /// Starts `size` clients and waits until all of them are in their rooms.
    pub(crate) async fn gather(url: &str, secret: &str, size: usize, scale: f64) -> Result<Self> {
        let (tell, returns) = mpsc::unbounded_channel();
        let mut clients = Vec::with_capacity(size);
        for client in 0..size {
            let token = token::sign(secret, &format!("bench-user-{client}"), "user")?;
            let (handle, incoming) =
                Client::builder(url).token(token).backoff(backoff(scale)).queue(16, Default::default()).start()?;
            for room in rooms(client) {
                handle.join(&room).await?;
            }
            tokio::spawn(watch(client, incoming, tell.clone()));
            clients.push(handle);
            tokio::time::sleep(BETWEEN_STARTS).await;
        }
        let mut crowd = Self { size, returns, _clients: clients };
        crowd.all_back(Duration::from_secs(60)).await?;
        Ok(crowd)
    }

    /// Waits until each client has come back once; those that came, in the order in which they did.
    pub(crate) async fn all_back(&mut self, within: Duration) -> Result<Vec<Back>> {
        let mut seen = vec![false; self.size];
        let mut returns = Vec::with_capacity(self.size);
        let all = async {
            while returns.len() < self.size {
                let back = self.returns.recv().await.context("the clients have ended")?;
                if !std::mem::replace(&mut seen[back.client], true) {
                    returns.push(back);
                }
            }
            anyhow::Ok(())
        };
        let waited = tokio::time::timeout(within, all).await;
        let count = returns.len();
        waited.with_context(|| format!("only {count} of {} clients are back after {within:?}", self.size))??;
        Ok(returns)
    }
}

async fn watch(client: usize, mut incoming: Incoming, tell: mpsc::UnboundedSender<Back>) {
    let mut session: Option<Back> = None;
    let mut joined = 0;
    while let Some(notice) = incoming.next().await {
        match notice {
            Notice::State(ConnectionState::Connected { authenticated, resumed, .. }) => {
                session = Some(Back { client, at: Instant::now(), authenticated, resumed, recovered: true });
                joined = 0;
            }
            Notice::State(_) => session = None,
            Notice::Room(room) if room.status == RoomStatus::Joined && room.room.starts_with("agent:") => {
                joined += 1;
                if let Some(back) = &mut session {
                    back.recovered &= room.recovered == Some(true);
                }
                if joined == 2
                    && let Some(back) = session.take()
                {
                    // Nobody listens any more once the measurement is over.
                    let _ = tell.send(back);
                }
            }
            _ => {}
        }
    }
}

/// One event into each of the first `rooms` rooms, some at a time.
pub(crate) async fn publish(url: &str, secret: &str, rooms: usize) -> Result<()> {
    let token = token::sign(secret, "bench-admin", "admin")?;
    let (client, _) = Client::builder(url).token(token).start()?;
    let mut running = tokio::task::JoinSet::new();
    for room in 0..rooms {
        while running.len() >= 64 {
            running.join_next().await.context("no publish")???;
        }
        let client = client.clone();
        running.spawn(async move { client.publish(&format!("agent:{room}"), "bench_event", &json!({"n": room})).await });
    }
    while let Some(published) = running.join_next().await {
        published??;
    }
    client.close().await;
    Ok(())
}
