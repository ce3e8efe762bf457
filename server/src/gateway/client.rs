//! A protocol connection on the socket loop: checks tokens, runs custom handlers, asks the backend, hears of a drain.

use super::{
    socket::{self, Handler},
    upgrade::{Bounds, Socket},
};
use crate::{
    auth::{AuthError, Verified},
    connection::{Connection, Work},
    handlers,
    hub::outbox::{Item, Outbox, QueueLook},
    legacy,
    limits::{NotAdmitted, Place, Seated, address},
    realtime::Handle,
    session::{Mode, Refusal, Traffic, Verdict},
    telemetry::{
        LeftOut,
        meters::{ABNORMAL, EndedBy, Via},
    },
};
use bytes::Bytes;
use futures_util::FutureExt;
use osbackend_protocol::CloseCode;
use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Instant,
};
use tokio::task::JoinSet;
use tracing::field::display;

/// Custom handlers and questions that one connection may have running; reading waits for one to end.
const MAX_RUNNING: usize = 32;

/// When a question that went wrong is to be asked again, in milliseconds.
const ASK_AGAIN_MS: u64 = 1_000;

/// Kinds of log lines, by close code.
const CLOSED_BY_THE_SERVER: [(u16, &str); 8] = [
    (1009, "closed, 1009"),
    (1013, "closed, 1013"),
    (4003, "closed, 4003"),
    (4005, "closed, 4005"),
    (4500, "closed, 4500"),
    (4501, "closed, 4501"),
    (4502, "closed, 4502"),
    (4505, "closed, 4505"),
];

type Verifying = Pin<Box<dyn Future<Output = Result<Verified, AuthError>> + Send>>;

struct Client {
    connection: Connection,
    handle: Handle,
    /// Counts this connection for as long as it lives.
    place: Place,
    /// Its address is at its limit, and it has taken over no older place yet.
    at_the_door: bool,
    verifying: Option<Verifying>,
    /// Handlers, and questions with their tickets.
    running: JoinSet<Option<(u64, Verdict)>>,
    /// Questions to the metrics: they end with the connection. Reading goes on meanwhile, so that its end is seen.
    questions: JoinSet<()>,
    since_ms: u64,
    /// Who ended it, with which code; nobody as long as it is just cut.
    ended: Option<(EndedBy, u16)>,
}

/// Serves a client until it is gone.
pub(super) fn run(
    mut socket: Socket,
    handle: Handle,
    bounds: Bounds,
    place: Place,
    at_the_door: bool,
    mode: Mode,
    token: Result<Option<String>, Refusal>,
) -> impl Future<Output = ()> + Send {
    let clock = handle.clock();
    let since_ms = clock.now_ms();
    if let Err(refusal) = &token
        && let Some(left_out) = admits(&handle, "refused at the door", &place, since_ms)
    {
        tracing::info!(address = place.ip().map(display), reason = %refusal, left_out, "refused at the door");
    }
    let mut connection = Connection::of(handle.shared().clone(), mode, token, place.ip(), since_ms);
    connection.handle().place.store(place.number(), Ordering::Relaxed);
    if at_the_door {
        connection.only_in_place_of_an_older(Refusal::AddressLimit, since_ms);
    }
    tracing::debug!(
        client = connection.session().client_id().as_ref(),
        address = place.ip().map(display),
        ?mode,
        "connection opened"
    );
    let mut client = Client {
        connection,
        handle,
        place,
        at_the_door,
        verifying: None,
        running: JoinSet::new(),
        questions: JoinSet::new(),
        since_ms,
        ended: None,
    };
    // Not an `async fn`: it would hold what it was called with a second time, in every connection's task.
    async move { socket::serve(&mut socket, &mut client, &clock, bounds).await }
}

/// Whether a line of this kind about this client's address is to be logged now, and how many were left out.
fn admits(handle: &Handle, kind: &'static str, place: &Place, now_ms: u64) -> Option<LeftOut> {
    handle.shared().meters.seldom.admits(kind, place.ip().map(address::group), now_ms)
}

impl Client {
    fn start_work(&mut self, now_ms: u64) {
        while self.running.len() < MAX_RUNNING
            && let Some(work) = self.connection.poll_work()
        {
            match work {
                Work::Claim => {
                    let result = self.sit(None, now_ms);
                    self.connection.on_claimed(result, now_ms);
                }
                Work::Verify(token) => {
                    let authenticator = self.handle.authenticator().clone();
                    let meters = self.handle.shared().meters.clone();
                    let address = self.place.ip();
                    self.verifying = Some(Box::pin(async move {
                        let began = Instant::now();
                        let result = authenticator.verify_from(&token, address).await;
                        meters.verified(Via::Socket, &result, began.elapsed());
                        result
                    }));
                }
                Work::Custom(running) => {
                    let clock = self.handle.clock();
                    let meters = self.handle.shared().meters.clone();
                    self.running.spawn(async move {
                        handlers::answer(running, meters, move || clock.wall_ms()).await;
                        None
                    });
                }
                Work::Metrics { query, id } => {
                    let (clock, meters) = (self.handle.clock(), self.handle.shared().meters.clone());
                    let running = self.connection.metrics(query, id, clock.now_ms());
                    self.questions.spawn(async move { handlers::answer(running, meters, move || clock.wall_ms()).await });
                }
                Work::Ask { ticket, call } => {
                    let hooks = self.handle.shared().hooks.clone();
                    self.running.spawn(async move {
                        let verdict = match hooks {
                            Some(hooks) => AssertUnwindSafe(hooks.ask(*call)).catch_unwind().await.ok(),
                            None => None,
                        };
                        // Without an answer the request would wait for ever.
                        Some((ticket, verdict.unwrap_or(Verdict::Unavailable { retry_after_ms: ASK_AGAIN_MS })))
                    });
                }
            }
        }
    }

    /// The outcome of a check, with the user's connections counted at the first one.
    fn admitted(&mut self, result: Result<Verified, AuthError>, now_ms: u64) -> Result<Verified, Refusal> {
        let verified = result.inspect_err(|error| self.log_refused(error, now_ms))?;
        if self.connection.session().identity().is_none() {
            self.sit(Some(&verified.identity.sub), now_ms)?;
        }
        Ok(verified)
    }

    /// Counts the client as one of `user`. Where a limit is reached and it resumes the session of an older connection, which
    /// may be dead without anybody knowing, it takes over that one's place.
    fn sit(&mut self, user: Option<&str>, now_ms: u64) -> Result<(), Refusal> {
        let client = self.connection.session().resumed_client(user, now_ms);
        let older = client.and_then(|client| self.handle.shared().hub.registry.of_client(client));
        let number = older.as_ref().map(|older| older.place.load(Ordering::Relaxed)).filter(|number| *number > 0);
        match self.place.sit(user, number) {
            Ok(Seated::Free) => {}
            Ok(Seated::TakenOver) => {
                // As at its greeting, where the newer of two connections of one client stays.
                if let Some(older) = older {
                    older.outbox.close(CloseCode::NoHeartbeat);
                }
            }
            Err(NotAdmitted::User) => {
                self.handle.shared().meters.not_admitted("user_limit");
                if let Some(left_out) = self.handle.shared().meters.seldom.admits("user_limit", user, now_ms) {
                    let address = self.place.ip().map(display);
                    tracing::info!(reason = "user_limit", user, address, left_out, "connection refused");
                }
                return Err(Refusal::UserLimit);
            }
            Err(_) => return Err(Refusal::AddressLimit),
        }
        self.at_the_door = false;
        Ok(())
    }
}

impl Client {
    /// An `AuthError` tells what was wrong and never holds the token.
    fn log_refused(&self, reason: &AuthError, now_ms: u64) {
        let client = self.connection.session().client_id().as_ref();
        let address = self.place.ip().map(display);
        let unavailable = *reason == AuthError::Unavailable;
        let kind = if unavailable { "token not checked" } else { "token refused" };
        match admits(&self.handle, kind, &self.place, now_ms) {
            Some(left_out) if unavailable => tracing::warn!(client, address, %reason, left_out, "token not checked"),
            Some(left_out) => tracing::info!(client, address, %reason, left_out, "token refused"),
            None => {}
        }
    }

    /// What someone may have to look into is a warning; what each tab does when it goes is for who looks closely.
    fn log_gone(&self, now_ms: u64) {
        let (by, code) = self.ended.unwrap_or((EndedBy::Client, ABNORMAL));
        let session = self.connection.session();
        let client = session.client_id().as_ref();
        let user = session.identity().map(|identity| identity.sub.as_str());
        let address = self.place.ip().map(display);
        let ms = now_ms.saturating_sub(self.since_ms);
        let rooms = session.rooms().count();
        match (by, code) {
            (EndedBy::Server, 1011) => {
                tracing::error!(client, user, address, code, ms, rooms, "connection closed: internal error")
            }
            (EndedBy::Server, 4002) => {
                let Some(left_out) = admits(&self.handle, "slow consumer closed", &self.place, now_ms) else { return };
                let QueueLook { bytes, conflated, .. } = self.connection.outbox().look();
                tracing::warn!(
                    client,
                    user,
                    address,
                    code,
                    ms,
                    rooms,
                    queue_bytes = bytes,
                    conflated,
                    left_out,
                    "slow consumer closed"
                );
            }
            (EndedBy::Server, 1002 | 1003 | 1007 | 1009 | 1013 | 4003 | 4005 | 4500..) => {
                // Of one address many for one reason are one line a second; the codes are counted.
                let kind = CLOSED_BY_THE_SERVER.iter().find(|(of, _)| *of == code).map_or("closed, other", |(_, kind)| kind);
                if let Some(left_out) = admits(&self.handle, kind, &self.place, now_ms) {
                    tracing::info!(client, user, address, code, ms, rooms, left_out, "connection closed by the server");
                }
            }
            _ => tracing::debug!(client, user, address, code, ?by, ms, rooms, "connection closed"),
        }
    }
}

impl Handler for Client {
    fn outbox(&self) -> Arc<Outbox> {
        self.connection.outbox().clone()
    }

    fn on_text(&mut self, text: &str, now_ms: u64) {
        self.connection.handle().traffic.read.add(1, text.len());
        self.connection.receive(text, now_ms);
    }

    fn on_taken(&self, items: Vec<Item>) -> Vec<Item> {
        if self.connection.session().is_legacy() { legacy::plain_metrics(items) } else { items }
    }

    fn on_read(&mut self) {
        self.connection.flush();
    }

    fn on_binary(&mut self, data: Bytes, now_ms: u64) {
        self.connection.handle().traffic.read.add(1, data.len());
        self.connection.on_binary(now_ms);
    }

    fn on_traffic(&mut self, traffic: Traffic, now_ms: u64) {
        self.connection.on_traffic(traffic, now_ms);
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
        self.connection.resume(now_ms);
        // What one brings about may start another.
        loop {
            self.start_work(now_ms);
            if let Some(verifying) = &mut self.verifying
                && let Poll::Ready(result) = verifying.as_mut().poll(cx)
            {
                self.verifying = None;
                let result = self.admitted(result, now_ms);
                self.connection.on_verified(result, now_ms);
                continue;
            }
            match self.running.poll_join_next(cx) {
                Poll::Ready(Some(Ok(Some((ticket, verdict))))) => self.connection.on_answer(ticket, verdict, now_ms),
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        while let Poll::Ready(Some(_)) = self.questions.poll_join_next(cx) {}
        self.verifying.is_some()
            || self.running.len() >= MAX_RUNNING
            || self.connection.session().is_held()
            || self.connection.is_held()
    }

    fn on_write(&mut self, messages: usize, bytes: usize) {
        // A ping alone is no message.
        if bytes > 0 {
            self.connection.handle().traffic.written.add(messages, bytes);
        }
    }

    fn on_ending(&mut self, now_ms: u64) {
        self.verifying = None;
        self.connection.on_ending(now_ms);
    }

    fn on_end(&mut self, by: EndedBy, code: u16) {
        if by == EndedBy::Client && code == CloseCode::Goodbye.code() {
            self.connection.on_goodbye();
        }
        self.ended = Some((by, code));
    }

    fn on_gone(&mut self, now_ms: u64) {
        let (by, code) = self.ended.unwrap_or((EndedBy::Client, ABNORMAL));
        self.handle.shared().meters.closed(by, code);
        if self.at_the_door {
            self.handle.shared().meters.not_admitted("address_limit");
        }
        self.log_gone(now_ms);
        // A handler that was begun is finished: what it does is not undone by a closed tab.
        self.running.detach_all();
        self.questions.abort_all();
        self.connection.on_gone(now_ms);
    }
}
