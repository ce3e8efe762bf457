//! A protocol connection on the socket loop: checks tokens, runs custom handlers, hears of a drain.

use super::socket::{self, Handler};
use crate::{
    auth::{AuthError, Verified},
    connection::{Connection, Work},
    handlers,
    hub::outbox::{Item, Outbox},
    legacy,
    limits::Place,
    realtime::Handle,
    session::{Mode, Refusal},
};
use axum::{body::Bytes, extract::ws::WebSocket};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::task::JoinSet;

/// Custom handlers that one connection may have running; reading waits for one to end.
const MAX_RUNNING: usize = 32;

type Verifying = Pin<Box<dyn Future<Output = Result<Verified, AuthError>> + Send>>;

struct Client {
    connection: Connection,
    handle: Handle,
    /// Counts this connection for as long as it lives.
    place: Option<Place>,
    verifying: Option<Verifying>,
    running: JoinSet<()>,
}

/// Serves a client until it is gone.
pub(super) fn run(
    mut socket: WebSocket,
    handle: Handle,
    max_message_bytes: usize,
    place: Option<Place>,
    mode: Mode,
    token: Result<Option<String>, Refusal>,
) -> impl Future<Output = ()> + Send {
    let clock = handle.clock();
    let connection = Connection::new(handle.shared().clone(), mode, token, clock.now_ms());
    let mut client = Client { connection, handle, place, verifying: None, running: JoinSet::new() };
    // Not an `async fn`: it would hold what it was called with a second time, in every connection's task.
    async move { socket::serve(&mut socket, &mut client, &clock, max_message_bytes).await }
}

impl Client {
    fn start_work(&mut self) {
        while let Some(work) = self.connection.poll_work() {
            match work {
                Work::Verify(token) => {
                    let authenticator = self.handle.authenticator().clone();
                    self.verifying = Some(Box::pin(async move { authenticator.verify(&token).await }));
                }
                Work::Custom(running) => {
                    let clock = self.handle.clock();
                    self.running.spawn(handlers::answer(running, move || clock.now_ms()));
                }
            }
        }
    }

    /// The outcome of a check, with the user's connections counted at the first one.
    fn admitted(&mut self, result: Result<Verified, AuthError>) -> Result<Verified, Refusal> {
        let verified = result?;
        if self.connection.session().identity().is_none()
            && let Some(place) = &mut self.place
        {
            place.assign(&verified.identity.sub).map_err(|_| Refusal::ConnectionLimit)?;
        }
        Ok(verified)
    }
}

impl Handler for Client {
    fn outbox(&self) -> Arc<Outbox> {
        self.connection.outbox().clone()
    }

    fn on_text(&mut self, text: &str, now_ms: u64) {
        self.connection.receive(text, now_ms);
    }

    fn on_taken(&self, items: Vec<Item>) -> Vec<Item> {
        if self.connection.session().is_legacy() { legacy::plain_metrics(items) } else { items }
    }

    fn on_read(&mut self) {
        self.connection.flush();
    }

    fn on_binary(&mut self, _data: Bytes, now_ms: u64) {
        self.connection.on_binary(now_ms);
    }

    fn on_bytes(&mut self) {
        self.connection.on_bytes();
    }

    fn on_sent(&mut self, now_ms: u64) {
        self.connection.on_sent(now_ms);
    }

    fn on_timer(&mut self, now_ms: u64) {
        self.connection.on_timer(now_ms);
    }

    fn next_deadline(&self) -> Option<u64> {
        self.connection.session().next_deadline()
    }

    fn batch(&self) -> bool {
        self.connection.session().batch()
    }

    fn poll_work(&mut self, cx: &mut Context<'_>, now_ms: u64) -> bool {
        if let Poll::Ready(after_ms) = self.connection.handle().poll_drain(cx) {
            self.connection.on_drain(after_ms, now_ms);
        }
        self.start_work();
        while let Some(verifying) = &mut self.verifying {
            let Poll::Ready(result) = verifying.as_mut().poll(cx) else { return true };
            self.verifying = None;
            let result = self.admitted(result);
            self.connection.on_verified(result, now_ms);
            self.start_work();
        }
        while let Poll::Ready(Some(_)) = self.running.poll_join_next(cx) {}
        self.running.len() >= MAX_RUNNING
    }

    fn on_gone(&mut self, now_ms: u64) {
        // A handler that was begun is finished: what it does is not undone by a closed tab.
        self.running.detach_all();
        self.connection.on_gone(now_ms);
    }
}
