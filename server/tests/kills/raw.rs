//! A client that follows docs/PROTOCOL.md and nothing else: it takes every frame as it comes and forgives nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::oracle::{Held, Joined, Oracle, Tag};
use crate::process::{Address, up};

/// What a client publishes, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publishes {
    Nothing,
    /// Once each: what is not acknowledged may be there or not.
    Once,
    /// With an idempotency key, and again after a return until it is acknowledged: it must be there once.
    UntilAcknowledged,
}

pub(crate) struct Setup {
    pub(crate) name: String,
    /// Its number as a publisher.
    pub(crate) number: u64,
    pub(crate) token: String,
    pub(crate) rooms: Vec<String>,
    pub(crate) publishes: Publishes,
    /// Publishes on their way at the same time.
    pub(crate) outstanding: usize,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) address: watch::Receiver<Address>,
    /// Whether publishers go on.
    pub(crate) publishing: watch::Receiver<bool>,
}

type Socket = WebSocketStream<TcpStream>;

struct Client {
    setup: Setup,
    /// Where it stands in each room.
    positions: BTreeMap<String, (String, u64)>,
    resume: Option<Value>,
    client_id: Option<String>,
    /// By `n`: sent, and not acknowledged.
    unanswered: BTreeSet<u64>,
    next: u64,
    life: u64,
}

/// Runs until the run is over; tells the oracle everything. `idle` is told while it waits for no acknowledgement.
pub(crate) async fn run(setup: Setup, idle: watch::Sender<bool>) {
    let mut client = Client {
        setup,
        positions: BTreeMap::new(),
        resume: None,
        client_id: None,
        unanswered: BTreeSet::new(),
        next: 1,
        life: 0,
    };
    loop {
        let (life, address) = up(&mut client.setup.address, client.life).await;
        client.life = life;
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("osbackend.v1"));
        // Killed meanwhile: then the next life is waited for, as whenever the connection ends.
        let Ok(stream) = TcpStream::connect(address).await else { continue };
        let Ok((mut socket, _)) = client_async(request, stream).await else { continue };
        if let Err(wrong) = client.session(&mut socket, &idle).await {
            let (name, oracle) = (&client.setup.name, &client.setup.oracle);
            oracle.violated(format!("{name}, life {life}: {wrong}"));
            return;
        }
    }
}

impl Client {
    /// One connection to its end; an error where the end was not a kill.
    async fn session(&mut self, socket: &mut Socket, idle: &watch::Sender<bool>) -> Result<(), String> {
        if self.setup.publishes == Publishes::Once {
            // Nobody will ever say what became of these.
            self.unanswered.clear();
        }
        let rooms: Vec<Value> = self.setup.rooms.iter().map(|room| self.position(room)).collect();
        let mut connect = json!({"protocol": 1, "token": self.setup.token, "rooms": rooms, "batch": true});
        if let Some(resume) = &self.resume {
            connect["resume"] = resume.clone();
        }
        let connect = json!({"type": "connect", "payload": connect}).to_string();
        if socket.send(Message::text(connect)).await.is_err() {
            return Ok(());
        }
        let mut publishing = self.setup.publishing.clone();
        loop {
            idle.send_replace(self.unanswered.is_empty());
            let message = tokio::select! {
                message = socket.next() => message,
                changed = publishing.changed() => {
                    // The run is over.
                    if changed.is_err() { return Ok(()) }
                    continue;
                }
            };
            let text = match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(frame))) => return Err(format!("closed with {frame:?}")),
                Some(Ok(_)) => continue,
                // Cut off: the process is dead.
                Some(Err(_)) | None => return Ok(()),
            };
            let messages = match serde_json::from_str(text.as_str()).map_err(|error| format!("{error}: {text}"))? {
                Value::Array(messages) => messages,
                message => vec![message],
            };
            let mut greeted = false;
            for message in &messages {
                greeted |= self.take(message)?;
            }
            let go_on = *publishing.borrow();
            if !self.publish(socket, greeted, go_on).await {
                return Ok(());
            }
        }
    }

    fn position(&self, room: &str) -> Value {
        match self.positions.get(room) {
            Some((epoch, offset)) => json!({"room": room, "epoch": epoch, "offset": offset}),
            None => json!({"room": room}),
        }
    }

    /// Takes one message; true where it was the greeting.
    fn take(&mut self, message: &Value) -> Result<bool, String> {
        let data = &message["data"];
        match message["type"].as_str().ok_or_else(|| format!("no type: {message}"))? {
            kind @ ("connection_established" | "reconnected") => {
                let client_id = data["clientId"].as_str().ok_or("no clientId")?.to_owned();
                if kind == "reconnected" && self.client_id.as_ref() != Some(&client_id) {
                    return Err(format!("was {:?}, and is resumed as {client_id}", self.client_id));
                }
                self.resume = Some(json!({"clientId": client_id, "token": data["resume"]["token"]}));
                self.client_id = Some(client_id);
                self.greeted(data["rooms"].as_array().ok_or("no rooms")?)?;
                Ok(true)
            }
            "published" => {
                let n = message["id"].as_u64().ok_or("no id")?;
                self.unanswered.remove(&n);
                let place = (data["room"].as_str(), data["epoch"].as_str(), data["offset"].as_u64(), data["eventId"].as_str());
                let (Some(room), Some(epoch), Some(offset), Some(event_id)) = place else {
                    return Err(format!("not what `published` is: {message}"));
                };
                let held = Held { event_id: event_id.to_owned(), tag: (self.setup.number, n) };
                self.setup.oracle.acknowledged(room, epoch, offset, held);
                Ok(false)
            }
            "note" => {
                let place = (message["room"].as_str(), message["offset"].as_u64(), message["eventId"].as_str());
                let (Some(room), Some(offset), Some(event_id)) = place else {
                    return Err(format!("an event without a place: {message}"));
                };
                let held = Held { event_id: event_id.to_owned(), tag: tag(data).ok_or("an event that nobody sent")? };
                self.setup.oracle.delivered(&self.setup.name, room, offset, held);
                let position = self.positions.get_mut(room).ok_or_else(|| format!("not joined: {message}"))?;
                position.1 = offset;
                Ok(false)
            }
            "heartbeat" | "presence_join" | "presence_leave" => Ok(false),
            _ => Err(format!("unexpected: {message}")),
        }
    }

    fn greeted(&mut self, results: &[Value]) -> Result<(), String> {
        let results: HashMap<&str, &Value> = results.iter().filter_map(|one| Some((one["room"].as_str()?, one))).collect();
        for room in &self.setup.rooms {
            let result = results.get(room.as_str()).ok_or_else(|| format!("the greeting says nothing of {room}"))?;
            let (epoch, offset) = (result["epoch"].as_str(), result["offset"].as_u64());
            let (Some(epoch), Some(offset)) = (epoch, offset) else { return Err(format!("{room} was refused: {result}")) };
            let recovered = result["recovered"] == true;
            let joined = Joined { epoch: epoch.to_owned(), recovered, offset, replayed: result["replayed"].as_u64() };
            self.setup.oracle.joined(&self.setup.name, room, &joined, self.life);
            if !recovered {
                self.positions.insert(room.clone(), (epoch.to_owned(), offset));
            }
        }
        self.setup.oracle.returned(self.life);
        Ok(())
    }

    /// Sends again what was not acknowledged in the life before, and then new ones. False: the connection is dead.
    async fn publish(&mut self, socket: &mut Socket, greeted: bool, publishing: bool) -> bool {
        let mut texts: Vec<String> = Vec::new();
        if greeted {
            texts.extend(self.unanswered.iter().map(|n| self.request(*n)));
        }
        let may = self.setup.publishes != Publishes::Nothing && publishing;
        while may && self.unanswered.len() < self.setup.outstanding {
            texts.push(self.request(self.next));
            self.unanswered.insert(self.next);
            self.next += 1;
        }
        for text in texts {
            if socket.send(Message::text(text)).await.is_err() {
                return false;
            }
        }
        true
    }

    fn request(&self, n: u64) -> String {
        let number = self.setup.number;
        let mut payload = json!({"room": self.setup.rooms[0], "type": "note", "data": {"p": number, "n": n}});
        if self.setup.publishes == Publishes::UntilAcknowledged {
            payload["idempotencyKey"] = json!(format!("{number}-{n}"));
        }
        json!({"type": "publish", "id": n, "payload": payload}).to_string()
    }
}

/// Whose event it is, by its data.
pub(crate) fn tag(data: &Value) -> Option<Tag> {
    Some((data["p"].as_u64()?, data["n"].as_u64()?))
}
