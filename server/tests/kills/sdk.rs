//! The native client as an application uses it, and the relay by which its one address stays while the server's changes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use osbackend_client::{BackoffConfig, Client, Event, Notice, RoomStatus};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::oracle::{Held, Joined, Oracle};
use crate::process::{Address, up};
use crate::raw::tag;

/// A port that stays: each connection is passed on to the server that runs then, and ends when that does.
pub(crate) async fn relay(address: watch::Receiver<Address>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut address = address.clone();
            tokio::spawn(async move {
                let (_, address) = up(&mut address, 0).await;
                let Ok(mut server) = TcpStream::connect(address).await else { return };
                // How it ended is the two ends' affair.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    at
}

pub(crate) struct Setup {
    pub(crate) name: String,
    /// Its number as a publisher.
    pub(crate) number: u64,
    pub(crate) token: String,
    pub(crate) rooms: Vec<String>,
    pub(crate) publishes: bool,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) relay: SocketAddr,
    pub(crate) address: watch::Receiver<Address>,
    pub(crate) publishing: watch::Receiver<bool>,
    pub(crate) seed: u64,
}

/// Runs until the run is over; tells the oracle everything. `idle` is told while it waits for no acknowledgement.
pub(crate) async fn run(setup: Setup, idle: watch::Sender<bool>) {
    let url = format!("ws://{}/ws", setup.relay);
    // Short delays: the relay holds an attempt until a server is there.
    let backoff = BackoffConfig { initial_ms: 5, max_ms: 50, attempts: 0, ..BackoffConfig::default() };
    let builder = Client::builder(&url).token(setup.token.clone()).backoff(backoff);
    let (client, mut incoming) = builder.request_timeout(Duration::from_secs(60)).start().unwrap();
    for room in &setup.rooms {
        client.join(room).await.unwrap();
    }
    let setup = Arc::new(setup);
    if setup.publishes {
        tokio::spawn(publish(client.clone(), setup.clone(), idle));
    }
    let mut told: HashMap<String, u64> = HashMap::new();
    let mut address = setup.address.clone();
    let mut counted = 0;
    loop {
        let notice = tokio::select! {
            notice = incoming.next() => notice,
            changed = address.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        match notice {
            Some(Notice::Event(event)) => match held(&event) {
                Some((offset, held)) => setup.oracle.delivered(&setup.name, &event.room, offset, held),
                None => setup.oracle.violated(format!("{}: an event that nobody sent: {event:?}", setup.name)),
            },
            Some(Notice::Room(state)) if state.status == RoomStatus::Joined && setup.rooms.contains(&state.room) => {
                let (Some(epoch), Some(offset)) = (state.epoch, state.offset) else { continue };
                // Between two lives the notice is of the one before.
                let life = setup.address.borrow().map_or_else(|| told.get(&state.room).copied().unwrap_or(1), |(life, _)| life);
                let recovered = state.recovered == Some(true);
                setup.oracle.joined(&setup.name, &state.room, &Joined { epoch, recovered, offset, replayed: None }, life);
                told.insert(state.room, life);
                if counted < life && setup.rooms.iter().all(|room| told.get(room) == Some(&life)) {
                    counted = life;
                    setup.oracle.returned(life);
                }
            }
            Some(Notice::Room(state)) if state.status == RoomStatus::Refused => {
                setup.oracle.violated(format!("{}: {state:?}", setup.name));
            }
            Some(_) => {}
            None => return,
        }
    }
}

fn held(event: &Event) -> Option<(u64, Held)> {
    let data: Value = serde_json::from_str(event.data.get()).ok()?;
    Some((event.offset?, Held { event_id: event.event_id.clone()?, tag: tag(&data)? }))
}

/// One after the other, with an idempotency key; tried again until it is acknowledged.
async fn publish(client: Client, setup: Arc<Setup>, idle: watch::Sender<bool>) {
    let mut publishing = setup.publishing.clone();
    let mut rng = osbackend_client_core::Rng::new(setup.seed);
    for n in 1.. {
        idle.send_replace(true);
        if publishing.wait_for(|publishing| *publishing).await.is_err() {
            return;
        }
        idle.send_replace(false);
        let room = &setup.rooms[rng.next_u64() as usize % setup.rooms.len()];
        let data = json!({"p": setup.number, "n": n});
        let key = format!("{}-{n}", setup.number);
        let payload = json!({"room": room, "type": "note", "data": data, "idempotencyKey": key});
        let published = loop {
            match client.request("publish", &payload).await {
                Ok(published) => break published,
                // Lost with its connection: the same again, on the next one.
                Err(osbackend_client::RequestError::Failed(failure)) if failure.code == "unavailable" => {}
                Err(error) => return setup.oracle.violated(format!("{}: publish {n}: {error}", setup.name)),
            }
        };
        let place = (published["epoch"].as_str(), published["offset"].as_u64(), published["eventId"].as_str());
        let (Some(epoch), Some(offset), Some(event_id)) = place else {
            return setup.oracle.violated(format!("{}: not what `published` is: {published}", setup.name));
        };
        setup.oracle.acknowledged(room, epoch, offset, Held { event_id: event_id.to_owned(), tag: (setup.number, n) });
    }
}
