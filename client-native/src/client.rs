//! The handle of a running client: what the application wants of it.

use osbackend_client_core::{ConnectionState, Failure, Publish};
use osbackend_protocol::RoomName;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

use crate::builder::Builder;
use crate::error::{Ended, RequestError};

/// What the handle asks of the task.
pub(crate) enum Command {
    Connect,
    Join { room: RoomName, snapshot: bool },
    Leave { room: RoomName },
    Request { kind: String, payload: String, reply: oneshot::Sender<Result<String, Failure>> },
    Publish { event: Publish, reply: oneshot::Sender<Result<String, Failure>> },
    Send { kind: String, payload: String },
    RefreshToken,
    Close { done: oneshot::Sender<()> },
}

/// How an event is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// Your own key, of 1 to 128 bytes: publishing again with it within five minutes stores nothing new.
    pub idempotency_key: Option<String>,
    /// For who is there now only: no offset, no history. It is sent once.
    pub ephemeral: bool,
    /// How long to try, over reconnects; [`Builder::publish_timeout`] when `None`.
    pub timeout: Option<Duration>,
}

/// A running client; cheap to clone. When the last one is dropped, the connection is closed.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    states: watch::Receiver<ConnectionState>,
}

fn object(payload: &impl Serialize) -> Result<String, RequestError> {
    let text = serde_json::to_string(payload).map_err(RequestError::Payload)?;
    if text.starts_with('{') { Ok(text) } else { Err(RequestError::NotAnObject) }
}

impl Client {
    /// A client of the server at `url`, such as `ws://localhost:8082/ws` or `wss://example.com/ws`.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    pub(crate) fn new(commands: mpsc::Sender<Command>, states: watch::Receiver<ConnectionState>) -> Self {
        Self { commands, states }
    }

    async fn tell(&self, command: Command) -> Result<(), Ended> {
        self.commands.send(command).await.map_err(|_| Ended)
    }

    /// Wants to be in a room, from now on and over reconnects; [`crate::Notice::Room`] tells what became of it.
    ///
    /// # Errors
    /// The name is malformed, or the client has ended.
    pub async fn join(&self, room: &str) -> Result<(), RequestError> {
        self.join_with(room, true).await
    }

    /// The same; `snapshot` says whether it begins with the newest event of each key (§5).
    ///
    /// # Errors
    /// See [`Client::join`].
    pub async fn join_with(&self, room: &str, snapshot: bool) -> Result<(), RequestError> {
        Ok(self.tell(Command::Join { room: RoomName::parse(room)?, snapshot }).await?)
    }

    /// Wants to be in a room no longer.
    ///
    /// # Errors
    /// See [`Client::join`].
    pub async fn leave(&self, room: &str) -> Result<(), RequestError> {
        Ok(self.tell(Command::Leave { room: RoomName::parse(room)? }).await?)
    }

    /// A message with an answer (§3), such as `history:get` or one of your own types: the answer's `data`. While there is no
    /// connection it waits for one, within its time.
    ///
    /// # Errors
    /// The server's `error`, no answer in time, or a lost connection: then it may have been carried out all the same.
    pub async fn request(&self, kind: &str, payload: &impl Serialize) -> Result<Value, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Request { kind: kind.to_owned(), payload: object(payload)?, reply }).await?;
        let answer = answer.await.map_err(|_| Ended)?.map_err(RequestError::Failed)?;
        serde_json::from_str(&answer).map_err(RequestError::Answer)
    }

    /// Publishes an event into a room: `{room, offset, epoch, eventId}`. The event gets an idempotency key, is sent again after a
    /// lost connection, and is stored once; events of one room keep their order.
    ///
    /// # Errors
    /// The server's `error`, or no answer in [`Builder::publish_timeout`]: `timeout` where it was never sent, `outcome_unknown`
    /// where it was.
    pub async fn publish(&self, room: &str, kind: &str, data: &impl Serialize) -> Result<Value, RequestError> {
        self.publish_with(room, kind, data, PublishOptions::default()).await
    }

    /// The same, with options.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub async fn publish_with(
        &self,
        room: &str,
        kind: &str,
        data: &impl Serialize,
        options: PublishOptions,
    ) -> Result<Value, RequestError> {
        let PublishOptions { idempotency_key, ephemeral, timeout } = options;
        let (room, kind, data) = (RoomName::parse(room)?.to_string(), kind.to_owned(), Some(object(data)?));
        let timeout_ms = timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        let event = Publish { room, kind, data, idempotency_key, ephemeral, timeout_ms };
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Publish { event, reply }).await?;
        let answer = answer.await.map_err(|_| Ended)?.map_err(RequestError::Failed)?;
        serde_json::from_str(&answer).map_err(RequestError::Answer)
    }

    /// A message that nobody answers. Where it could not be written, [`crate::Notice::SendRefused`] tells.
    ///
    /// # Errors
    /// The payload is no object, or the client has ended.
    pub async fn send(&self, kind: &str, payload: &impl Serialize) -> Result<(), RequestError> {
        Ok(self.tell(Command::Send { kind: kind.to_owned(), payload: object(payload)? }).await?)
    }

    /// Asks the token provider now, and hands its token to the server on the live connection.
    ///
    /// # Errors
    /// The client has ended.
    pub async fn refresh_token(&self) -> Result<(), Ended> {
        self.tell(Command::RefreshToken).await
    }

    /// Connects again after the state `Closed`; does nothing otherwise.
    ///
    /// # Errors
    /// The client has ended.
    pub async fn connect(&self) -> Result<(), Ended> {
        self.tell(Command::Connect).await
    }

    /// The connection as it is now.
    pub fn state(&self) -> ConnectionState {
        self.states.borrow().clone()
    }

    /// Waits until the connection is live or closed for good, and says which.
    ///
    /// # Errors
    /// The client has ended.
    pub async fn settled(&self) -> Result<ConnectionState, Ended> {
        let mut states = self.states.clone();
        let settled =
            |state: &ConnectionState| matches!(state, ConnectionState::Connected { .. } | ConnectionState::Closed { .. });
        let state = states.wait_for(settled).await.map_err(|_| Ended)?;
        Ok(state.clone())
    }

    /// Ends the client: close 1000, and a moment for the server's answer. What waits is refused.
    pub async fn close(&self) {
        let (done, ended) = oneshot::channel();
        if self.tell(Command::Close { done }).await.is_ok() {
            // Dropped unsent only where the task has ended already.
            let _ = ended.await;
        }
    }
}
